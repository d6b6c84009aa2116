//! The networks against those that the literature of distillation compares with.
//!
//! `tests/zoo.json` holds, for each of RepDistiller's networks with 100 classes on 3×32×32 input,
//! what its reference implementation says in float64: the number of parameters; the tensors of its
//! checkpoint in order; the shapes of its features; and, with every tensor filled by [`fill`] and
//! [`input`] in evaluation mode, the logits and the mean of each feature, as returned and before
//! its last ReLU.

use crate::NetworkConfig;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::{DynNetwork, Network, Tap, TapSelection, Taps, parameter_count, tensors};
use serde::Deserialize;
use std::collections::BTreeMap;

const INPUT: [usize; 3] = [3, 32, 32];
const CLASSES: usize = 100;

#[derive(Deserialize)]
struct Reference {
    parameters: usize,
    state: Vec<(String, Vec<usize>)>,
    features: Vec<Vec<usize>>,
    feature_means: Vec<f64>,
    preact_feature_means: Vec<f64>,
    logits: Vec<Vec<f64>>,
}

fn zoo() -> Vec<(String, Reference)> {
    let zoo: BTreeMap<String, Reference> =
        serde_json::from_str(include_str!("../tests/zoo.json")).unwrap();
    assert_eq!(zoo.len(), 13);
    zoo.into_iter().collect()
}

fn network(name: &str) -> DynNetwork<Tensor<4>> {
    let config = NetworkConfig::by_name(name).unwrap();
    config.init(INPUT, CLASSES, &Device::default()).unwrap()
}

/// The values of the `index`-th tensor of a checkpoint.
fn fill(index: usize, shape: &[usize], values: Values) -> Vec<f32> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    (0..shape.iter().product())
        .map(|element: usize| {
            let v = (0.37 * element as f64 + 0.11 * index as f64).sin();
            let value = match values {
                Values::Weights => v * (0.5 / fan_in).sqrt(),
                Values::Scales => 1.0 + 0.1 * v,
                Values::Offsets => 0.1 * v,
                Values::Variances => 1.0 + 0.5 * v * v,
            };
            value as f32
        })
        .collect()
}

enum Values {
    Weights,
    Scales,
    Offsets,
    Variances,
}

/// Fills every tensor of a network, in the order of its module tree.
#[derive(Default)]
struct Filler {
    name: String,
    index: usize,
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.name = name.to_string();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.index;
        self.index += 1;
        let values = match self.name.as_str() {
            "weight" => Values::Weights,
            "gamma" => Values::Scales,
            "running_var" => Values::Variances,
            _ => Values::Offsets,
        };
        param.map(|tensor| {
            let device = tensor.device();
            // burn's linear weights are [in, out], those of a checkpoint [out, in].
            let mut shape = tensor.dims();
            if D == 2 {
                shape.reverse();
            }
            let data = TensorData::new(fill(index, &shape, values), shape);
            let filled = Tensor::from_data(data, &device);
            if D == 2 { filled.transpose() } else { filled }
        })
    }
}

fn input() -> Tensor<4> {
    let shape = [2, 3, 32, 32];
    let values = (0..shape.iter().product()).map(|n: usize| (0.05 * n as f64).sin() as f32);
    let data = TensorData::new(values.collect::<Vec<_>>(), shape);
    Tensor::from_data(data, &Device::default())
}

/// The values of a tap, without the batch axis of its shape.
fn values(taps: &Taps, name: &str) -> (Vec<usize>, Vec<f64>) {
    let tap = taps.get(name).unwrap();
    let data = match tap {
        Tap::Vector(vector) => vector.to_data(),
        Tap::Map(map) => map.to_data(),
        other => panic!("{name} is a {}", other.kind()),
    };
    (
        tap.shape().as_slice()[1..].to_vec(),
        data.iter::<f64>().collect(),
    )
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn root_mean_square(values: &[f64]) -> f64 {
    mean(values.iter().map(|value| value * value)).sqrt()
}

#[test]
fn tensors_have_the_order_the_names_and_the_shapes_of_the_public_checkpoints() {
    for (name, reference) in zoo() {
        let network = network(&name);

        let found: Vec<_> = tensors(&network)
            .into_iter()
            .map(|(path, data)| {
                let mut shape = data.shape().as_slice().to_vec();
                if shape.len() == 2 {
                    shape.reverse();
                }
                let path = path.replace(".gamma", ".weight").replace(".beta", ".bias");
                (path.replace("shortcut", "convShortcut"), shape)
            })
            .collect();
        assert_eq!(found, reference.state, "{name}");
        assert_eq!(parameter_count(&network), reference.parameters, "{name}");
    }
}

#[test]
fn filled_networks_compute_what_the_reference_computes() {
    const FEATURES: [&str; 5] = ["stem", "layer1", "layer2", "layer3", "pool"];
    const PREACT: [&str; 5] = ["stem", "layer1.pre", "layer2.pre", "layer3.pre", "pool"];

    for (name, reference) in zoo() {
        let network = network(&name).map(&mut Filler::default());
        let knowledge = network.forward_knowledge(input(), &TapSelection::All);

        for (names, means) in [
            (FEATURES, &reference.feature_means),
            (PREACT, &reference.preact_feature_means),
        ] {
            for ((tap, expected), shape) in names.into_iter().zip(means).zip(&reference.features) {
                let (found_shape, found) = values(&knowledge.taps, tap);
                assert_eq!(&found_shape, shape, "{name}: {tap}");
                // A mean is a sum in which values of either sign cancel, hence the second part.
                let tolerance = 1e-3 * expected.abs() + 1e-6 * root_mean_square(&found);
                let found = mean(found.into_iter());
                assert!(
                    (found - expected).abs() < tolerance,
                    "{name}: {tap} is {found}, expected {expected}"
                );
            }
        }

        let logits = knowledge.response.classes().unwrap().to_data();
        let expected = reference.logits.concat();
        // So is a logit.
        let floor = 1e-4 * root_mean_square(&expected);
        assert_eq!(logits.num_elements(), expected.len());
        for (found, expected) in logits.iter::<f64>().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-3 * expected.abs() + floor,
                "{name}: a logit is {found}, expected {expected}"
            );
        }
    }
}
