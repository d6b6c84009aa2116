//! The golden values, and a network with their weights.

use burn::data::dataloader::DataLoader;
use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_distill_core::{Batch, Network, Response, TapRecorder, Targets};
use burn_distill_strategy::EpochLoader;
use serde_json::Value;
use std::sync::Arc;

/// Golden values in a JSON file.
pub struct Golden(Value);

impl Golden {
    /// Returns those under a path such as `icarl.binary`.
    pub fn of(path: &str) -> Self {
        let all: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
        let value = path.split('.').fold(&all, |value, key| &value[key]);
        assert!(!value.is_null(), "there are no golden values of {path}");
        Self(value.clone())
    }

    pub fn number(&self, key: &str) -> f64 {
        self.0[key].as_f64().unwrap()
    }

    /// Returns all numbers under a key, in order.
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        fn collect(value: &Value, numbers: &mut Vec<f64>) {
            match value {
                Value::Array(values) => values.iter().for_each(|value| collect(value, numbers)),
                number => numbers.push(number.as_f64().unwrap()),
            }
        }
        let mut numbers = Vec::new();
        collect(&self.0[key], &mut numbers);
        numbers
    }
}

/// Asserts that values agree to nine digits of the largest one.
pub fn assert_same<const D: usize>(tensor: Tensor<D>, expected: &[f64]) {
    let found: Vec<f64> = tensor.into_data().iter().collect();
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(0.0_f64, |scale, it| scale.max(it.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs() / scale;
        assert!(error < 1e-9, "{found} is not {expected}, by {error:e}");
    }
}

/// Returns `size · sin(step · n + start)` in double precision.
pub fn wave<const D: usize>(
    shape: [usize; D],
    [step, start, size]: [f64; 3],
    device: &Device,
) -> Tensor<D> {
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|n| size * (step * n as f64 + start).sin())
        .collect();
    double(TensorData::new(values, shape), device)
}

pub fn double<const D: usize>(data: impl Into<TensorData>, device: &Device) -> Tensor<D> {
    Tensor::from_data(data.into(), (device, DType::F64))
}

/// Network of 3 → 4 (tanh) → 3 in double precision.
#[derive(Module, Debug)]
pub struct Net {
    hidden: Linear,
    output: Linear,
}

impl Net {
    /// Creates the network with the weights of the golden values.
    pub fn new(device: &Device) -> Self {
        let all = wave([31], [0.7, 0.3, 1.0], device);
        let part = |start, count| all.clone().narrow(0, start, count);
        let layer = |start: usize, [inputs, outputs]: [usize; 2]| {
            let weights = inputs * outputs;
            let weight = part(start, weights).reshape([inputs, outputs]);
            Linear {
                weight: Param::from_tensor(weight),
                bias: Some(Param::from_tensor(part(start + weights, outputs))),
            }
        };
        Self {
            hidden: layer(0, [3, 4]),
            output: layer(16, [4, 3]),
        }
    }
}

impl Network for Net {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, _: &mut TapRecorder) -> Response {
        Response::Classes(self.output.forward(self.hidden.forward(input).tanh()))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 3], (device, DType::F64))
    }
}

/// Batches that are delivered in order.
pub struct Batches(pub Vec<Batch<Tensor<2>>>);

impl Batches {
    /// Returns the seven samples of the golden values in batches of 3, 3 and 1.
    pub fn new(device: &Device) -> Self {
        let inputs = wave([7, 3], [0.9, 0.1, 1.5], device);
        let labels = [0, 2, 1, 1, 0, 2, 2].map(Some);
        let batch = |start: usize, count: usize| {
            let targets = Targets::labels(&labels[start..start + count], device);
            Batch::new(inputs.clone().narrow(0, start, count), targets)
        };
        Self(vec![batch(0, 3), batch(3, 3), batch(6, 1)])
    }
}

struct Delivered<'a>(std::slice::Iter<'a, Batch<Tensor<2>>>);

impl Iterator for Delivered<'_> {
    type Item = Result<Batch<Tensor<2>>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().cloned().map(Ok)
    }
}

impl DataLoaderIterator<Batch<Tensor<2>>> for Delivered<'_> {
    fn progress(&self) -> Progress {
        Progress::new(0, self.0.len(), None)
    }
}

impl EpochLoader<Tensor<2>> for Batches {
    fn num_batches(&self) -> usize {
        self.0.len()
    }

    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<Tensor<2>>> + '_> {
        Box::new(Delivered(self.0.iter()))
    }

    fn starting_from(self, _: usize) -> Arc<dyn DataLoader<Batch<Tensor<2>>>> {
        unreachable!("no test trains on these batches")
    }
}
