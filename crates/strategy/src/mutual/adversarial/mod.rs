mod critic;
mod distiller;

pub use critic::*;
pub use distiller::*;
