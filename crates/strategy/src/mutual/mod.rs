mod distiller;

pub use distiller::*;
