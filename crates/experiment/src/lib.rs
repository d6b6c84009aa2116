#![doc = include_str!("../README.md")]

mod check;
mod clip;
mod data;
mod diverged;
mod experiment;
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
mod role;
mod run;
mod several;
mod split;
mod stage_result;
mod stages;
mod statistics;
mod stop;
mod strategies;
mod weights;

pub use check::check;
pub use data::Data;
pub use experiment::Experiment;
pub use folder::RunFolder;
pub use given_weights::check_given_weights;
pub use result::{ExperimentResult, MemberResult, NetworkResult, RunInfo};
pub use stage_result::StageResult;
pub use statistics::Statistics;
pub use stop::Stop;
