//! Comparison of the networks with the reference implementations of the distillation literature.
//!
//! `tests/zoo.json` contains, for each network of RepDistiller with 100 classes and 3×32×32 input,
//! the results of the reference implementation in float64: the number of parameters; the tensors of
//! its checkpoint in order; the shapes of its features; and, with every tensor filled by [`fill`]
//! and for the [`input`] in evaluation mode, the logits and the mean of each feature, as returned
//! and before its last ReLU.

use crate::NetworkConfig;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::{
    DynNetwork, Network, Tap, TapSelection, Taps, observe_batch_norms, parameter_count, tensors,
};
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

/// Returns the values of the `index`-th tensor of a checkpoint.
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

/// Returns the shape of a tap without its batch axis, and its values.
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
fn the_tensors_have_the_order_names_and_shapes_of_the_public_checkpoints() {
    for (name, reference) in zoo() {
        let network = network(&name);
        let config = NetworkConfig::by_name(&name).unwrap();
        let checkpoint = config.checkpoint(INPUT, CLASSES).unwrap();

        let ours: Vec<_> = tensors(&network)
            .into_iter()
            .map(|(path, data)| (path, data.shape().as_slice().to_vec()))
            .collect();
        let listed: Vec<_> = checkpoint
            .iter()
            .map(|tensor| {
                let mut shape = tensor.shape.clone();
                if tensor.transposed {
                    shape.reverse();
                }
                (tensor.path.clone(), shape)
            })
            .collect();
        assert_eq!(listed, ours, "{name}");
        let originals: Vec<_> = checkpoint
            .into_iter()
            .map(|tensor| (tensor.original, tensor.shape))
            .collect();
        assert_eq!(originals, reference.state, "{name}");
        assert_eq!(parameter_count(&network), reference.parameters, "{name}");
    }
}

#[test]
fn filled_networks_compute_the_same_as_the_reference() {
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
                // In a mean, values of both signs cancel, hence the second part.
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
        // The same holds for a logit.
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

/// A visitor that collects the number of channels of every batch normalization.
#[derive(Default)]
struct Channels {
    containers: Vec<String>,
    found: Vec<usize>,
}

impl ModuleVisitor for Channels {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.containers.push(format!("{container_type} {name}"));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let place = self.containers.last();
        if place.is_some_and(|place| place == "Struct:BatchNorm gamma") {
            self.found.push(param.lazy_shape().num_elements());
        }
    }
}

#[test]
fn every_batch_normalization_is_observed() {
    let published = [
        "convnet-4-8",
        "vgg8",
        "mobile-half",
        "shufflev1",
        "shufflev2",
        "cifar-resnet50",
        "resnet18",
        "mobilenet-v2",
        "mobilenet-v3-small",
        "efficientnet-b0",
    ];
    let names = published.map(String::from).into_iter();
    for name in names.chain(zoo().into_iter().map(|(name, _)| name)) {
        let network = network(&name);
        let mut channels = Channels::default();
        network.visit(&mut channels);
        let mut expected = channels.found;

        let images = Tensor::ones([2, 3, 32, 32], &Device::default());
        let (_, found) = observe_batch_norms(|| network.forward(images));

        let mut found: Vec<_> = found.iter().map(|layer| layer.mean.dims()[0]).collect();
        assert!(!found.is_empty(), "{name}");
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}");
    }
}
