mod distiller;
mod ensemble;
mod peers;

pub use distiller::*;
pub use ensemble::*;
