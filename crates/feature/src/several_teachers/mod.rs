//! Losses on the features of several teachers at once.

mod adaptive_feature;
mod confidence_feature;
mod projection;
mod term;

pub use adaptive_feature::*;
pub use confidence_feature::*;
pub use projection::*;
pub use term::*;

pub(crate) use adaptive_feature::entry as adaptive_feature_entry;
pub(crate) use confidence_feature::entry as confidence_feature_entry;
