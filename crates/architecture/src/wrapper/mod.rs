mod normalized_features;
mod reused_classifier;

pub use normalized_features::*;
pub use reused_classifier::*;
