//! Networks that learn together, step by step.

mod codistillation;
mod collaborative;
#[path = "../common/mod.rs"]
mod common;
mod ensembles;
mod group_leader;
mod native_ensemble;
mod sequential;
mod toys;
mod trained;
