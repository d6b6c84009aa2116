//! Students that learn without data, step by step and in whole trainings.

#[path = "../common/mod.rs"]
mod common;
mod inversion;
mod steps;
mod tiny;
mod trained;
