//! Networks whose weights others trained, as modules of burn: CREPE, silero-vad and MTCNN.
//!
//! - [`import`]: the weights of a file for any module
//! - [`models`]: the files, and the network of each
//! - [`crepe`], [`silero`], [`mtcnn`]: the networks

pub mod crepe;
pub mod import;
pub mod models;
pub mod mtcnn;
pub mod silero;
