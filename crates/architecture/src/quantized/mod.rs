//! Networks that are trained with quantized weights.

mod buckets;
mod config;
mod grid;
mod learned_levels;
mod learned_step;
mod network;
mod scope;
mod size;
mod uniform;

pub use config::*;
pub use learned_levels::*;
pub use learned_step::*;
pub use network::*;
pub use size::*;
pub use uniform::*;

#[cfg(test)]
mod tests;
