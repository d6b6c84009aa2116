//! Curricula: stages that go on with what earlier ones left, and routes along anchors.

#[path = "../common/mod.rs"]
mod common;
mod generations;
mod refusals;
mod route;
mod stages;
