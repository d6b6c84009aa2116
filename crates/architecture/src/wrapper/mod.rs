mod input_view;
mod normalized_features;
mod reused_classifier;

pub use input_view::*;
pub use normalized_features::*;
pub use reused_classifier::*;
