mod distiller;
mod ensemble;
mod group_leader;
mod peers;
mod towards_ensemble;

pub use distiller::*;
pub use ensemble::*;
pub use group_leader::*;
pub use towards_ensemble::*;
