mod heads;
mod loss;
mod objective;

pub use heads::*;
pub use loss::*;
pub use objective::*;
