//! Networks in ONNX files, for the data of a recipe.

use super::recipe::{OnnxNetwork, OnnxRecipe, OnnxTask};
use crate::configure::configured;
use crate::fault::Fault;
use crate::input::{InputShape, TypedInput, any_network};
use anyhow::{Result, ensure};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill::core::{Network, Tokens};
use burn_distill::interchange::{self, OnnxConfig, OnnxData, OnnxFile, OnnxInput};
use std::path::PathBuf;

pub fn check(onnx: &OnnxRecipe) -> Result<(), Fault> {
    config(onnx).map(drop)
}

pub fn files(onnx: &OnnxRecipe) -> Result<Vec<PathBuf>> {
    Ok(OnnxFile::read(&onnx.file)?.files().to_vec())
}

pub fn load(onnx: &OnnxRecipe, task: OnnxTask<'_>, device: &Device) -> Result<OnnxNetwork> {
    match task.input {
        InputShape::Image(shape) => typed::<Tensor<4>>(onnx, task, shape, device),
        InputShape::Sequence(shape) => typed::<Tensor<3>>(onnx, task, shape, device),
        InputShape::Vector(shape) => typed::<Tensor<2>>(onnx, task, shape, device),
        InputShape::Tokens { length, .. } => typed::<Tokens>(onnx, task, &[*length], device),
    }
}

/// Returns the options.
fn config(onnx: &OnnxRecipe) -> Result<OnnxConfig, Fault> {
    configured(&OnnxConfig::default(), &onnx.options)
}

fn typed<I: OnnxInput + TypedInput>(
    onnx: &OnnxRecipe,
    task: OnnxTask<'_>,
    sample: &[usize],
    device: &Device,
) -> Result<OnnxNetwork> {
    let data = OnnxData {
        sample: sample.to_vec(),
        normalization: task.normalization.cloned(),
        classes: task.classes.to_vec(),
        vocabulary: match task.input {
            InputShape::Tokens { vocabulary, .. } => Some(*vocabulary),
            _ => None,
        },
    };
    let network = interchange::OnnxNetwork::<I>::load(&onnx.file, &config(onnx)?, &data)?;
    let response = network.forward(network.example(1, &Device::flex()));
    ensure!(
        response.classes().is_some(),
        "{}: the output is not a row of logits for each sample, as a recipe requires of a teacher: \
         give another `output`",
        onnx.file.display()
    );
    Ok(OnnxNetwork {
        parameters: usize::try_from(network.parameters())?,
        files: network.files().to_vec(),
        network: any_network(network.to_device(device)),
    })
}
