//! Exported models, written and loaded.

mod common;
mod folder;
mod formats;
#[cfg(feature = "export")]
mod onnx;
