//! Networks that learn together, step by step.

mod collaborative;
#[path = "../common/mod.rs"]
mod common;
mod sequential;
mod toys;
