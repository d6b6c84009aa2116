//! What a recipe says, done: repetitions of teacher, student alone and student taught.

mod data;
mod folder;
mod measure;
mod network;
mod preparation;
mod repetition;
mod result;

pub use data::Data;
pub use folder::RunFolder;
pub use network::ImageNetwork;
pub use repetition::{Experiment, Progress};
pub use result::{ExperimentResult, RunInfo};
