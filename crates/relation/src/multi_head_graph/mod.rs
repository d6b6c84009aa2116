mod heads;
mod loss;
pub(crate) mod objective;

pub use heads::*;
pub use loss::*;
pub use objective::*;
