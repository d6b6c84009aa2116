mod base;
mod hard;
mod sum;

pub use base::*;
pub use hard::*;
