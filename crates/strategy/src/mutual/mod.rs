mod adversarial;
mod codistiller;
mod distiller;
mod ensemble;
mod group_leader;
mod native_ensemble;
mod parts;
pub(crate) mod peers;
mod together;
mod towards_ensemble;

pub use adversarial::*;
pub use codistiller::*;
pub use distiller::*;
pub use ensemble::*;
pub use group_leader::*;
pub use native_ensemble::*;
pub use together::*;
pub use towards_ensemble::*;
