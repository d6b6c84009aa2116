//! Losses over the graph of a student and several teachers.

mod discrepancy;
pub(crate) mod dissimilarity;
mod distance;
pub(crate) mod logits;
pub(crate) mod modality;
mod pooling;
pub(crate) mod representation;
mod transport;
mod vertex;

pub use dissimilarity::*;
pub use distance::*;
pub use logits::*;
pub use modality::*;
pub use representation::*;
pub use vertex::*;
