//! A training leaves nothing that is not so: diverged, ended and damaged trainings, and figures that are
//! what their names say.

#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod diverged;
mod ended;
mod shown;
