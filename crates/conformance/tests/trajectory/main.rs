//! Whole trainings, step by step, against those that public reference implementations recorded:
//! see `recordings/README.md`.
//!
//! The order of updates, what is constant, training or evaluation mode, schedules, averages, memories
//! and the optimizer have to be the same: losses alone are tested elsewhere.

mod at_loop;
mod byot_zhang;
mod crd_loop;
mod cskd;
mod ctkd;
mod dino;
mod dlb;
mod dml;
mod fitnets_joint;
mod kd_offline;
mod mean_teacher_mse;
mod networks;
mod okddip;
mod one;
mod recording;
mod replay;
mod takd;
mod tfkd_self;
