mod base;
mod checkpoint;
pub(crate) mod file;
mod history;
mod patience;
mod snapshots;

pub use base::*;
pub use checkpoint::*;
pub use file::write_atomically;
pub use history::*;
pub use patience::*;
pub use snapshots::*;
