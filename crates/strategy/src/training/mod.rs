mod base;
mod checkpoint;
mod file;
mod history;
mod patience;

pub use base::*;
pub use checkpoint::*;
pub use file::write_atomically;
pub use history::*;
pub use patience::*;
