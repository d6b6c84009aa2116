//! Inputs of networks whose type is decided at run time, by a recipe or by a file.

mod any;
mod memory;
#[cfg(test)]
mod tests;

pub use any::*;
pub use memory::*;
