//! Functions of a program without support of ONNX files, which return an error.

use super::recipe::{OnnxNetwork, OnnxRecipe, OnnxTask};
use crate::fault::Fault;
use anyhow::Result;
use burn::tensor::Device;
use std::path::PathBuf;

pub fn check(_: &OnnxRecipe) -> Result<(), Fault> {
    Err(Fault::other(
        "",
        "this program is built without support of ONNX files: build it with `cargo build --release \
         --features onnx`",
    ))
}

pub fn load(onnx: &OnnxRecipe, _: OnnxTask<'_>, _: &Device) -> Result<OnnxNetwork> {
    Err(check(onnx).unwrap_err().into())
}

pub fn files(onnx: &OnnxRecipe) -> Result<Vec<PathBuf>> {
    Err(check(onnx).unwrap_err().into())
}
