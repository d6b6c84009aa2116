//! What a recipe says, done: repetitions of teacher, student alone and student taught.

mod clip;
mod data;
mod folder;
mod measure;
mod network;
mod phase;
mod preparation;
mod repetition;
mod result;
mod several;
mod stage_result;
mod stages;

pub use data::Data;
pub use folder::RunFolder;
pub use network::ImageNetwork;
pub use repetition::{Experiment, Progress};
pub use result::{ExperimentResult, RunInfo};
