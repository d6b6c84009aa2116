//! Networks in ONNX files: agreement with onnxruntime, and files that are foreign or broken.

#![cfg(feature = "onnx")]

mod agreement;
mod common;
mod configuration;
mod foreign;
mod mutations;
mod summary;
