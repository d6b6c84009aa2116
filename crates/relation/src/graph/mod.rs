//! A student and its teachers as a graph.

mod discrepancy;
mod dissimilarity;
mod distance;
mod logits;
mod modality;
mod pooling;
mod representation;
mod transport;
mod vertex;

pub use dissimilarity::*;
pub use distance::*;
pub use logits::*;
pub use modality::*;
pub use representation::*;
pub use vertex::*;
