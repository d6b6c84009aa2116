mod adam;
mod config;
mod regularization;
mod sgd;

pub use config::*;
