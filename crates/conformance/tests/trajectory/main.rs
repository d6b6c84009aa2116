//! Complete training runs, step by step, against recordings of public reference implementations:
//! see `recordings/README.md`.
//!
//! The order of updates, constants, training and evaluation mode, schedules, averages, memories and
//! the optimizer have to be the same. The other tests cover single losses.

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
mod lwf;
mod mean_teacher_mse;
mod multi_camkd;
mod multi_ebkd;
mod networks;
mod okddip;
mod one;
mod quantized_distillation;
mod recording;
mod replay;
mod takd;
mod tfkd_self;
mod zskt;
