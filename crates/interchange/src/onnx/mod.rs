//! Networks in ONNX files, which `tract` runs.

mod config;
mod error;
mod feed;
mod file;
mod guard;
mod host;
mod images;
mod inferred;
mod network;
mod operators;
mod outputs;
mod panics;
mod plans;
mod response;
mod sizes;
mod summary;
mod taps;
mod tensors;
mod value;
mod vocabulary;

pub use config::*;
pub use error::OnnxError;
pub use file::OnnxFile;
pub use host::OnnxInput;
pub use network::{OnnxData, OnnxNetwork, OnnxTeacher};
pub use summary::*;
pub use taps::*;
pub use value::{OnnxSize, OnnxValue};
