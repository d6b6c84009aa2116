//! Trainings that diverged, ended or were damaged, and metrics that are only shown where they
//! apply.

#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod diverged;
mod ended;
mod shown;
