mod by_epoch;
mod lines;
mod quiet;

pub use by_epoch::*;
pub use lines::*;
pub use quiet::*;
