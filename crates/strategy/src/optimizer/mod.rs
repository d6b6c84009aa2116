mod adam;
mod config;
mod recorded_adam;
mod regularization;
mod sgd;

pub use config::*;
pub use recorded_adam::*;
