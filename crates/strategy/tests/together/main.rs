//! Networks that learn together, step by step.

#[path = "../common/mod.rs"]
mod common;
mod sequential;
mod toys;
