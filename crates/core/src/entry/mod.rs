//! Losses by name, for lists and recipes. Every loss has a [`LossEntry`] beside its code.

mod builder;
mod built;
mod context;
mod error;
mod layers;
mod loss;
mod options;
mod places;
mod shapes;
mod table;
mod trial;

pub use builder::*;
pub use built::*;
pub use context::*;
pub use error::*;
pub use layers::*;
pub use loss::*;
pub use options::*;
pub use places::MASK_TAP;
pub use shapes::*;
pub use table::*;
pub use trial::TRIAL_SAMPLES;
