#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod checkpoint;
mod class_map;
mod model;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "export")]
mod onnx_file;
mod placed_classes;
mod selected_classes;

pub use checkpoint::*;
pub use class_map::*;
pub use model::*;
#[cfg(feature = "onnx")]
pub use onnx::*;
pub use placed_classes::*;
pub use selected_classes::*;
