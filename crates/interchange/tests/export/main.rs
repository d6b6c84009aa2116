//! Exported models, written and loaded.

mod common;
mod folder;
mod formats;
mod inputs;
#[cfg(feature = "export")]
mod onnx;
