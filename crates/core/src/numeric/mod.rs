//! The numerics that losses share, each safe where the plain formula is not.
//!
//! Squares, roots and logarithms have places where a value is fine and its gradient is not. Every
//! function here has finite gradients at zero, for equal rows, for logits of −∞ and for empty masks.

mod attention;
mod distance;
mod distribution;
mod mean;
mod norm;
mod padding;
mod precision;
mod spatial;

pub use attention::*;
pub use distance::*;
pub use distribution::*;
pub use mean::*;
pub use norm::*;
pub use padding::*;
pub use precision::*;
pub use spatial::*;
