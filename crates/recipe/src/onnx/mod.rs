//! Teachers in ONNX files.

#[cfg(feature = "onnx")]
mod load;
mod recipe;
mod teacher;
#[cfg(not(feature = "onnx"))]
mod unsupported;

pub use recipe::*;
#[cfg(not(feature = "onnx"))]
use unsupported as load;
