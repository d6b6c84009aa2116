mod base;
mod hard;
mod layers;
mod pair;
mod sum;

pub use base::*;
pub use hard::*;
pub use layers::*;
pub use pair::*;
