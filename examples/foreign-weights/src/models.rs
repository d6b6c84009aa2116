//! The models that this program knows, each with its network.

use crate::crepe::{self, Crepe};
use crate::import::import;
use crate::mtcnn::{self, ONet, PNet, RNet};
use crate::silero::{self, SileroVad};
use burn::module::Module;
use burn::prelude::*;
use burn_distill::interchange::Checkpoint;
use serde::Deserialize;
use std::error::Error;
use std::path::Path;

/// Tensor in a file of JSON.
#[derive(Clone, Debug, Deserialize)]
pub struct Array {
    /// Size of each axis.
    pub shape: Vec<usize>,
    /// Values, the last axis fastest.
    pub values: Vec<f32>,
}

impl Array {
    fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        let data = TensorData::new(self.values.clone(), self.shape.clone());
        Tensor::from_data(data, device)
    }

    /// Returns the largest difference to the values of the original, relative to their root mean
    /// square.
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn difference(&self, original: &Self) -> f32 {
        assert_eq!(self.shape, original.shape, "the outputs differ in shape");
        let squares = original.values.iter().map(|value| value * value);
        let mean = squares.sum::<f32>() / original.values.len() as f32;
        let pairs = self.values.iter().zip(&original.values);
        largest(pairs.map(|(ours, other)| (ours - other).abs())) / mean.sqrt()
    }
}

/// Returns the largest of some nonnegative numbers, or NaN if one of them is NaN.
pub fn largest(numbers: impl Iterator<Item = f32>) -> f32 {
    numbers.fold(0.0, |largest, number| match number <= largest {
        true => largest,
        // It is larger, or one of the two is NaN.
        false if largest.is_nan() => largest,
        false => number,
    })
}

impl<const D: usize> From<Tensor<D>> for Array {
    fn from(tensor: Tensor<D>) -> Self {
        Self {
            shape: tensor.dims().to_vec(),
            values: tensor.into_data().iter().collect(),
        }
    }
}

/// Imports a file of weights into its network, and returns the outputs of the network.
///
/// # Errors
///
/// Returns an error if the model is unknown, if the file cannot be read, or if it does not fit.
pub fn run(
    model: &str,
    file: &Path,
    input: &Array,
    device: &Device,
) -> Result<(Vec<Array>, Checkpoint), Box<dyn Error>> {
    match model {
        "crepe-full" => with(Crepe::full(device), &crepe::KEYS, file, |network| {
            vec![network.forward(input.tensor(device)).into()]
        }),
        "crepe-tiny" => with(Crepe::tiny(device), &crepe::KEYS, file, |network| {
            vec![network.forward(input.tensor(device)).into()]
        }),
        "silero-vad" => with(SileroVad::new(device), &silero::KEYS, file, |network| {
            speech(network, input.tensor(device))
        }),
        "pnet" => with(PNet::new(device), &mtcnn::KEYS, file, |network| {
            let outputs = network.forward(input.tensor(device));
            outputs.map(Array::from).into()
        }),
        "rnet" => with(RNet::new(device), &mtcnn::KEYS, file, |network| {
            let outputs = network.forward(input.tensor(device));
            outputs.map(Array::from).into()
        }),
        "onet" => with(ONet::new(device), &mtcnn::KEYS, file, |network| {
            let outputs = network.forward(input.tensor(device));
            outputs.map(Array::from).into()
        }),
        other => Err(format!("the model `{other}` is not known here").into()),
    }
}

fn with<M: Module>(
    network: M,
    keys: &[(&str, &str)],
    file: &Path,
    outputs: impl Fn(&M) -> Vec<Array>,
) -> Result<(Vec<Array>, Checkpoint), Box<dyn Error>> {
    let (network, checkpoint) = import(network, file, keys)?;
    Ok((outputs(&network), checkpoint))
}

/// Returns the probability of speech in each of the windows, which follow each other, and the state
/// after the last one.
fn speech(network: &SileroVad, windows: Tensor<2>) -> Vec<Array> {
    let mut state = SileroVad::start(1, &windows.device());
    let mut probabilities = Vec::new();
    for window in windows.split(1, 0) {
        let (probability, next) = network.forward(window, state);
        probabilities.push(probability);
        state = next;
    }
    let [hidden, cell] = state;
    vec![
        Tensor::cat(probabilities, 0).into(),
        hidden.into(),
        cell.into(),
    ]
}
