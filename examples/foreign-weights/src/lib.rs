//! CREPE, silero-vad and MTCNN as modules of burn, for the weights in their Python packages.
//!
//! - [`import`]: the weights of a file for any module
//! - [`models`]: the models by name, each with its network
//! - [`crepe`], [`silero`], [`mtcnn`]: the networks

pub mod crepe;
pub mod import;
pub mod models;
pub mod mtcnn;
pub mod silero;
