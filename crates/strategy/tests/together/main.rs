//! Networks that learn from each other, step by step.

mod adversarial;
mod codistillation;
mod collaborative;
#[path = "../common/mod.rs"]
mod common;
mod dropout;
mod exits;
mod group_leader;
mod native_ensemble;
mod sequential;
mod trained;
