//! Networks and objectives whose type is chosen at run time.
//!
//! burn's `Module` has generic methods, so it cannot be a trait object. [`Dynamic`] wraps an
//! object-safe trait instead, whose visitors and mappers have one method for each rank from 1 to 6.

mod converting;
mod erased;
mod network;
mod objective;

pub use erased::{Dynamic, ErasedMapper, ErasedModule, ErasedVisitor, ModuleTransform, Slot};
pub use network::*;
pub use objective::*;
