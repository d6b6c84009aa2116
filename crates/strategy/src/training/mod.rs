mod base;
mod checkpoint;
mod divergence;
pub(crate) mod file;
mod finite;
mod history;
mod patience;
mod snapshots;

pub use base::*;
pub use checkpoint::*;
pub(crate) use divergence::Divergence;
pub use divergence::NonFinite;
pub use file::{file_sha256, write_atomically};
pub use finite::non_finite_weights;
pub use history::*;
pub use patience::*;
pub use snapshots::*;
