mod base;
mod each;
mod hard;
mod layers;
mod pair;
mod sequence;
mod single;
mod sum;
mod views;

pub use base::*;
pub use each::*;
pub use hard::*;
pub use layers::*;
pub use pair::*;
pub use sequence::*;
pub use single::*;
pub use views::*;
