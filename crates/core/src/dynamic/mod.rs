//! Networks and objectives whose type is known at run time only.
//!
//! burn's `Module` has generic methods, so it cannot be a trait object. [`Dynamic`] bridges it:
//! visitors and mappers cross the boundary by rank, one method each for ranks 1 to 6.

mod converting;
mod erased;
mod network;
mod objective;

pub use erased::{Dynamic, ErasedMapper, ErasedModule, ErasedVisitor, ModuleTransform, Slot};
pub use network::*;
pub use objective::*;
