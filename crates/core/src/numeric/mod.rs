//! Numerically safe tensor functions that losses share.
//!
//! Roots, logarithms and quotients can have an infinite or undefined gradient where their value is
//! finite. Every function here has finite gradients at zero, for equal rows, for logits of −∞ and
//! for empty masks.

mod alignment;
mod attention;
mod binary;
mod distance;
mod distribution;
mod mean;
mod norm;
mod padding;
mod precision;
mod simplex;
mod spatial;

pub use alignment::*;
pub use attention::*;
pub use binary::*;
pub use distance::*;
pub use distribution::*;
pub use mean::*;
pub use norm::*;
pub use padding::*;
pub use precision::*;
pub use simplex::*;
pub use spatial::*;
