mod clip_norm;
mod disagreement;
mod distiller;
mod inversion;
mod latents;
mod objective;
mod pseudo_batches;
mod teacher_like;

pub use disagreement::*;
pub use distiller::*;
pub use inversion::*;
pub use latents::*;
pub use objective::*;
pub use pseudo_batches::*;
pub use teacher_like::*;
