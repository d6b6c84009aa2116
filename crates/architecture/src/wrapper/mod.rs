mod growing;
mod input_view;
mod nearest_means;
mod normalized_features;
mod replaced_classifier;
mod reused_classifier;

pub use growing::*;
pub use input_view::*;
pub use nearest_means::*;
pub use normalized_features::*;
pub use replaced_classifier::*;
pub use reused_classifier::*;
