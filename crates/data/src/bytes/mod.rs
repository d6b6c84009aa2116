//! The bytes of files as tokens.

mod config;
mod dataset;
#[cfg(test)]
mod tests;
mod window;

pub use config::*;
pub use dataset::*;
pub use window::*;
