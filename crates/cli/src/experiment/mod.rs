//! What a recipe says, done: repetitions of teacher, if there is one, student alone and student
//! taught.

mod check;
mod clip;
mod data;
mod diverged;
mod folder;
mod generations;
mod given_weights;
mod lock;
mod measure;
mod network;
mod phase;
mod preparation;
mod pretraining;
mod provenance;
mod repetition;
mod result;
mod several;
mod split;
mod stage_result;
mod stages;
mod strategies;
mod weights;

pub use check::check;
pub use data::Data;
pub use folder::RunFolder;
pub use given_weights::check_given_weights;
pub use network::{ImageNetwork, build, seeded};
pub use repetition::{Experiment, Progress};
pub use result::{ExperimentResult, RunInfo};
