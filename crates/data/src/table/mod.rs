//! Tables in CSV files.

mod config;
mod dataset;
mod encoding;
mod file;
mod infer;
mod names;
mod reader;
mod rows;
#[cfg(test)]
mod tests;

pub use config::*;
pub use dataset::*;
pub use encoding::*;
pub use reader::*;
