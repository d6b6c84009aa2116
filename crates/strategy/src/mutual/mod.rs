mod distiller;
mod peers;

pub use distiller::*;
