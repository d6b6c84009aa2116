//! Curricula: stages that load artifacts of earlier ones, and routes along anchors.

mod assistants;
#[path = "../common/mod.rs"]
mod common;
mod generations;
mod refusals;
mod route;
mod stages;
