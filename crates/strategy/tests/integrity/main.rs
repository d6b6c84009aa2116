//! A training leaves nothing that is not so: diverged, ended and damaged trainings, and figures that are
//! what their names say.

mod damaged;
mod diverged;
mod ended;
mod shown;
#[allow(dead_code, reason = "the tests of the curriculum use the rest")]
#[path = "../curriculum/toys.rs"]
mod toys;
