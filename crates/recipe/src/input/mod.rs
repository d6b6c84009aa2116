//! Inputs of networks whose type a recipe decides.

mod any;
mod memory;
#[cfg(test)]
mod tests;

pub use any::*;
pub use memory::*;
