//! What a recipe says, done: repetitions of teacher, if there is one, student alone and student
//! taught.

mod check;
mod clip;
mod data;
mod folder;
mod generations;
mod lock;
mod measure;
mod network;
mod phase;
mod preparation;
mod pretraining;
mod repetition;
mod result;
mod several;
mod stage_result;
mod stages;
mod strategies;

pub use check::check;
pub use data::Data;
pub use folder::RunFolder;
pub use network::{ImageNetwork, build, seeded};
pub use repetition::{Experiment, Progress};
pub use result::{ExperimentResult, RunInfo};
