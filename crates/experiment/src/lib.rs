#![doc = include_str!("../README.md")]

mod check;
mod clip;
mod data;
mod diverged;
mod folder;
mod generations;
mod given_weights;
mod lock;
mod measure;
mod phase;
mod preparation;
mod pretraining;
mod provenance;
mod repetition;
mod result;
mod run;
mod several;
mod split;
mod stage_result;
mod stages;
mod stop;
mod strategies;
mod weights;

pub use check::check;
pub use data::Data;
pub use folder::RunFolder;
pub use given_weights::check_given_weights;
pub use repetition::Experiment;
pub use result::{ExperimentResult, MemberResult, NetworkResult, RunInfo, Statistics};
pub use stage_result::StageResult;
pub use stop::Stop;
