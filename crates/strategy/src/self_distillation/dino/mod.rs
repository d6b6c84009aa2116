mod distiller;
mod head;
mod objective;

pub use distiller::*;
pub use head::*;
pub use objective::*;
