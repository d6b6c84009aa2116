//! Text networks, with the layers of transformers.

mod catalog;
mod classifier;
mod config;
mod embeddings;
mod encoder;
mod layer;
mod names;
mod options;
mod size;
#[cfg(test)]
mod tests;

pub use catalog::text_catalog;
pub use classifier::*;
pub use config::*;
pub use embeddings::*;
pub use encoder::*;
pub use layer::*;
pub use options::*;
pub use size::*;
