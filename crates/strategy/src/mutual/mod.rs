mod adversarial;
mod all_branches;
mod codistiller;
mod distiller;
mod ensemble;
mod group_leader;
mod native_ensemble;
mod parts;
pub(crate) mod peers;
mod towards_ensemble;

pub use adversarial::*;
pub use all_branches::*;
pub use codistiller::*;
pub use distiller::*;
pub use ensemble::*;
pub use group_leader::*;
pub use native_ensemble::*;
pub use towards_ensemble::*;
