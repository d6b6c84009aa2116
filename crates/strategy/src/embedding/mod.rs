//! Quality of the embeddings of a network: how well its classes are found by the nearest neighbors
//! and by a linear classifier.

mod nearest;
mod probe;
mod set;

pub use nearest::*;
pub use probe::*;
pub use set::*;
