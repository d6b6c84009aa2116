//! Exported models: folders with a network and its description.

mod classify;
mod description;
mod error;
mod load;
mod network;
mod quantize;
mod safetensors;
mod samples;
mod write;

pub use classify::*;
pub use description::*;
pub use error::*;
pub use load::*;
pub use quantize::rounded_to_8_bits;
pub use samples::*;
pub use write::*;
