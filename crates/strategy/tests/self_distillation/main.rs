//! Self-distillation, step by step.

#[path = "../common/mod.rs"]
mod common;
mod dino;
mod last_batch;
mod mean_teacher;
mod steps;
mod teacher_free;
mod trained;
