mod adam;
mod critic;
mod distiller;

pub use adam::*;
pub use critic::*;
pub use distiller::*;
