//! Comparison of the published networks with the originals.
//!
//! `tests/published.json` contains the results of `docs/reference/networks.py` with PyTorch in
//! double precision: for each network, the number of its parameters, the tensors of its state dict
//! in order, and values of features and logits in evaluation mode, with every tensor filled by
//! [`values`].

use super::*;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::TensorData;
use burn::tensor::{Distribution, Tolerance};
use burn_distill_core::{Network, TapSelection, known_taps, parameter_count};
use serde::Deserialize;
use std::collections::HashMap;

/// Bound of every error, relative to the root mean square of the compared values.
const TOLERANCE: f64 = 1e-4;
const SAMPLES: usize = 2;
/// The stored values are those at the positions `k · STRIDE` modulo the size.
const STRIDE: usize = 999_983;

#[derive(Deserialize)]
struct Reference {
    image: [usize; 3],
    classes: usize,
    parameters: usize,
    multiply_adds: usize,
    state: Vec<String>,
    features: Vec<Feature>,
    logits: Vec<f64>,
}

#[derive(Deserialize)]
struct Feature {
    tap: String,
    shape: Vec<usize>,
    values: Vec<f64>,
}

fn references() -> HashMap<String, Reference> {
    serde_json::from_str(include_str!("../../tests/published.json")).unwrap()
}

/// Returns the first random numbers of a key, as `scale · v + offset` with `v` in ±1: the upper 24
/// bits of splitmix64, seeded by FNV-1a.
///
/// This is one plain loop, because it runs unoptimized.
fn uniform(key: &str, count: usize, scale: f64, offset: f64) -> Vec<f32> {
    let mut state = 0xCBF2_9CE4_8422_2325_u64;
    for byte in key.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    let mut values = vec![0.0; count];
    for value in &mut values {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        let v = 2.0 * ((z >> 40) as f64 / 16_777_216.0) - 1.0;
        *value = (offset + v * scale) as f32;
    }
    values
}

/// Returns the values of a tensor of a state dict.
fn values(key: &str, shape: &[usize]) -> Vec<f32> {
    let (scale, offset) = match key.rsplit('.').next().unwrap() {
        "running_var" => (0.5, 1.0),
        "running_mean" | "bias" => (0.1, 0.0),
        _ if shape.len() == 1 => (0.25, 1.0),
        _ => {
            let fan_in = shape[1..].iter().product::<usize>() as f64;
            ((6.0 / fan_in).sqrt(), 0.0)
        }
    };
    uniform(key, shape.iter().product(), scale, offset)
}

/// Fills the tensors of a network by their names in the original, and records their paths.
#[derive(Default)]
struct Filler {
    path: Vec<String>,
    originals: HashMap<String, CheckpointTensor>,
    filled: Vec<String>,
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let tensor = self.originals.remove(&path).expect(&path);
        let shape = tensor.shape;
        let data = TensorData::new(values(&tensor.original, &shape), shape);
        let filled = Tensor::from_data(data, &Device::default());
        // burn's linear weights are [in, out].
        let filled = if D == 2 { filled.transpose() } else { filled };
        // Only the shape is compared, because reading the value would draw random weights in vain.
        assert_eq!(param.lazy_shape(), filled.shape(), "{path}");
        self.filled.push(path);
        Param::initialized(param.id, filled)
    }
}

fn input([channels, height, width]: [usize; 3], device: &Device) -> Tensor<4> {
    let shape = [SAMPLES, channels, height, width];
    let values = uniform("input", shape.iter().product(), 1.0, 0.0);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Returns the largest error at the stored positions, relative to the root mean square of the
/// expected values.
fn error(found: &TensorData, expected: &[f64]) -> f64 {
    let found: Vec<_> = found.iter::<f64>().collect();
    let errors = (0..)
        .map(|k| found[k * STRIDE % found.len()])
        .zip(expected)
        .map(|(found, expected)| (found - expected).abs());
    // Not `f64::max`, which loses a NaN.
    let worst = errors.fold(0.0, |worst: f64, error| match error <= worst {
        true => worst,
        false => error,
    });
    let squares: f64 = expected.iter().map(|value| value * value).sum();
    worst / (squares / expected.len() as f64).sqrt()
}

/// Compares a network with the original: names and shapes of all tensors, parameters, features and
/// logits.
fn check(network: PublishedNetwork) {
    let name = network.name();
    let reference = references().remove(name).expect(name);
    let (image, classes) = (reference.image, reference.classes);
    let device = Device::default();

    let checkpoint = network.checkpoint(image, classes).unwrap();
    let listed: Vec<_> = checkpoint
        .iter()
        .map(|tensor| {
            let shape: Vec<_> = tensor.shape.iter().map(usize::to_string).collect();
            format!("{} {}", tensor.original, shape.join(","))
        })
        .collect();
    assert_eq!(listed, reference.state, "{name}");

    let plan = network.plan(image, classes).unwrap();
    assert_eq!(plan.parameters(), reference.parameters, "{name}");
    assert_eq!(plan.multiply_adds(), reference.multiply_adds, "{name}");

    let paths: Vec<_> = checkpoint
        .iter()
        .map(|tensor| tensor.path.clone())
        .collect();
    let of_path = |tensor: CheckpointTensor| (tensor.path.clone(), tensor);
    let mut filler = Filler {
        originals: checkpoint.into_iter().map(of_path).collect(),
        ..Filler::default()
    };
    let ours = network.init(image, classes, &device).map(&mut filler);
    assert_eq!(filler.filled, paths, "{name}");
    assert!(filler.originals.is_empty(), "{name}");
    assert_eq!(parameter_count(&ours), reference.parameters, "{name}");
    let knowledge = ours.forward_knowledge(input(image, &device), &TapSelection::All);
    for (tap, _) in knowledge.taps.iter() {
        let compared = reference.features.iter().any(|feature| feature.tap == tap);
        assert!(
            compared || tap == "class-maps" || tap.ends_with(".pre"),
            "{name} {tap}"
        );
    }
    let mut worst: f64 = 0.0;
    for feature in &reference.features {
        let tap = knowledge.taps.expect(&feature.tap);
        assert_eq!(
            tap.shape().as_slice(),
            feature.shape,
            "{name} {}",
            feature.tap
        );
        let error = error(&tap.into_vectors().into_data(), &feature.values);
        assert!(error < TOLERANCE, "{name} {}: {error:.1e}", feature.tap);
        worst = worst.max(error);
    }
    let logits = knowledge.response.classes().unwrap().to_data();
    let error = error(&logits, &reference.logits);
    assert!(error < TOLERANCE, "{name} logits: {error:.1e}");
    println!(
        "| `{name}` | {} | {} | {error:.1e} | {worst:.1e} |",
        reference.parameters, reference.multiply_adds
    );
}

#[test]
fn every_published_network_has_its_reference() {
    let mut expected: Vec<_> = references().into_keys().collect();
    let mut found: Vec<_> = PublishedNetwork::ALL
        .iter()
        .map(|n| n.name().to_string())
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn vgg_networks_are_those_of_repdistiller() {
    for network in [Vgg8, Vgg11, Vgg13, Vgg16, Vgg19] {
        check(network);
    }
}

#[test]
fn mobile_and_shuffle_networks_are_those_of_repdistiller() {
    for network in [MobileHalf, ShuffleV1, ShuffleV2] {
        check(network);
    }
}

#[test]
fn the_four_stage_network_for_small_images_is_that_of_repdistiller() {
    check(CifarResNet50);
}

#[test]
fn residual_networks_are_those_of_torchvision() {
    for network in [ResNet18, ResNet34, ResNet50, ResNet101, ResNet152] {
        check(network);
    }
}

#[test]
fn mobile_and_vgg_networks_are_those_of_torchvision() {
    for network in [MobileNetV2Full, Vgg16Bn] {
        check(network);
    }
}

#[test]
fn multiply_adds_of_imagenet_are_those_that_torchvision_states() {
    // The meta data `_ops` of its weights, in 10⁹.
    for (network, expected) in [
        (ResNet18, 1.814),
        (ResNet34, 3.664),
        (ResNet50, 4.089),
        (ResNet101, 7.801),
        (ResNet152, 11.514),
        (MobileNetV2Full, 0.301),
        (Vgg16Bn, 15.470),
    ] {
        let plan = network.plan([3, 224, 224], 1000).unwrap();
        let found = (plan.multiply_adds() as f64 / 1e6).round() / 1e3;
        assert_eq!(found, expected, "{}", network.name());
    }
}

/// One network of every family, for gray images of 8×8 pixels.
const FAMILIES: [PublishedNetwork; 6] = [
    Vgg8,
    MobileHalf,
    ShuffleV1,
    ShuffleV2,
    CifarResNet50,
    ResNet18,
];

#[test]
fn a_tap_is_the_same_with_and_without_the_layers_behind_it() {
    let device = Device::default();
    for family in FAMILIES {
        let name = family.name();
        let network = family.init([1, 8, 8], 5, &device);
        let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &device);
        let all = network.forward_knowledge(input.clone(), &TapSelection::All);
        for tap in ["stem", "layer2", "layer3.pre", "pool"] {
            let found = network.forward_to(input.clone(), tap).into_vectors();
            let expected = all.taps.expect(tap).into_vectors().into_data();
            found.into_data().assert_eq(&expected, true);
        }
        let map = all.taps.expect("class-maps").into_map();
        let means = map.mean_dims(&[2, 3]).flatten::<2>(1, 3).into_data();
        let logits = all.response.classes().unwrap().to_data();
        means.assert_approx_eq::<f32>(&logits, Tolerance::rel_abs(1e-4, 1e-5));
        let classifier = network.classifier().expect(name);
        let pool = all.taps.expect("pool").into_vectors();
        assert_eq!(classifier.weight.dims(), [pool.dims()[1], 5], "{name}");
    }
}

#[test]
fn normalizations_are_found_behind_the_taps_before_activations() {
    let device = Device::default();
    for family in FAMILIES {
        let name = family.name();
        let network = family.init([1, 8, 8], 5, &device);
        for (tap, value) in known_taps(&network).iter() {
            let found = network.normalization(tap);
            // The normalization of a stage of ShuffleNetV2 covers half of its channels.
            let expected = tap.ends_with(".pre") && family != ShuffleV2;
            assert_eq!(found.is_some(), expected, "{name} {tap}");
            if let Some(norm) = found {
                assert_eq!(norm.gamma.dims(), [value.shape()[1]], "{name} {tap}");
            }
        }
        for tap in ["layer0.pre", "layer5.pre", "layer.pre"] {
            assert!(network.normalization(tap).is_none(), "{name} {tap}");
        }
    }
}

#[test]
fn every_family_learns_in_all_of_its_tensors() {
    let device = Device::default().autodiff();
    for family in FAMILIES {
        let network = family.init([1, 8, 8], 5, &device);
        let before = burn_distill_core::tensors(&network);
        let input = Tensor::random([3, 1, 8, 8], Distribution::Default, &device);
        // A plain sum would have no gradient for the bias of a normalization before another one.
        let loss = network
            .forward(input)
            .classes()
            .unwrap()
            .clone()
            .square()
            .sum();
        let grads = burn::optim::GradientsParams::from_grads(loss.backward(), &network);
        let mut optimizer = burn::optim::SgdConfig::new().init();
        let after = burn_distill_core::tensors(&optimizer.step(0.1, network, grads).valid());
        for ((path, after), (_, before)) in after.iter().zip(&before) {
            assert_ne!(after, before, "{} {path}", family.name());
        }
    }
}
