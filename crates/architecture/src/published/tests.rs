//! Comparison of the published networks with the originals.
//!
//! `tests/published.json` contains the results of `docs/reference/networks.py` with PyTorch in
//! double precision: for each network, the number of its parameters, the tensors of its state dict
//! in order, and values of features and logits in evaluation mode, with every tensor filled by
//! [`values`]; for some networks also the gradient by the images, and values of a pass in training
//! mode without dropout.

use super::*;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::TensorData;
use burn::tensor::{Distribution, Tolerance};
use burn_distill_core::{Knowledge, Network, Tap, TapSelection, known_taps, parameter_count};
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
    /// Gradient of the mean square of the logits by the images.
    gradient: Option<Vec<f64>>,
    training: Option<Training>,
}

/// Values of a pass in training mode, and the statistics of a normalization after it.
#[derive(Deserialize)]
struct Training {
    features: Vec<Feature>,
    logits: Vec<f64>,
    norm: String,
    mean: Vec<f64>,
    variance: Vec<f64>,
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

fn reference(network: PublishedNetwork) -> Reference {
    let name = network.name();
    references().remove(name).expect(name)
}

/// Returns the first random numbers of a key, as `scale · v + offset` with `v` in ±1: the upper 24
/// bits of splitmix64, seeded by FNV-1a.
///
/// This is one plain loop, because it runs unoptimized.
pub(crate) fn uniform(key: &str, count: usize, scale: f64, offset: f64) -> Vec<f32> {
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
pub(crate) fn values(key: &str, shape: &[usize]) -> Vec<f32> {
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
    device: Device,
    path: Vec<String>,
    originals: HashMap<String, CheckpointTensor>,
    filled: Vec<String>,
}

impl Filler {
    fn new(network: PublishedNetwork, reference: &Reference, device: &Device) -> Self {
        let checkpoint = network.checkpoint(reference.image, reference.classes);
        let of_path = |tensor: CheckpointTensor| (tensor.path.clone(), tensor);
        Self {
            device: device.clone(),
            originals: checkpoint.unwrap().into_iter().map(of_path).collect(),
            ..Self::default()
        }
    }
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
        let filled = Tensor::from_data(data, &self.device);
        let filled = match tensor.transposed {
            true => filled.transpose(),
            false => filled,
        };
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
    let reference = reference(network);
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

    let paths: Vec<_> = checkpoint.into_iter().map(|tensor| tensor.path).collect();
    let mut filler = Filler::new(network, &reference, &device);
    let ours = network.init(image, classes, &device).map(&mut filler);
    assert_eq!(filler.filled, paths, "{name}");
    assert!(filler.originals.is_empty(), "{name}");
    assert_eq!(parameter_count(&ours), reference.parameters, "{name}");
    let knowledge = ours.forward_knowledge(input(image, &device), &TapSelection::All);
    for (tap, _) in knowledge.taps.iter() {
        let compared = reference.features.iter().any(|feature| feature.tap == tap);
        // Of a transformer, the attention of the first and of the last block.
        let between = (2..12).any(|block| {
            let attention = ["query", "key", "value", "attention"];
            attention
                .map(|part| format!("{part}.{block}"))
                .contains(&tap.to_string())
        });
        assert!(
            compared || between || tap == "class-maps" || tap.ends_with(".pre"),
            "{name} {tap}"
        );
    }
    let worst = compare(name, &knowledge, &reference.features, &reference.logits);
    println!(
        "| `{name}` | {} | {} | {worst:.1e} |",
        reference.parameters, reference.multiply_adds
    );
}

/// Compares features and logits, and returns the largest error.
fn compare(name: &str, found: &Knowledge, features: &[Feature], logits: &[f64]) -> f64 {
    let errors = features.iter().map(|feature| {
        let tap = found.taps.expect(&feature.tap);
        assert_eq!(
            tap.shape().as_slice(),
            feature.shape,
            "{name} {}",
            feature.tap
        );
        let values = match tap {
            Tap::Attention(scores) => scores.into_data(),
            tap => tap.into_vectors().into_data(),
        };
        let error = error(&values, &feature.values);
        assert!(error < TOLERANCE, "{name} {}: {error:.1e}", feature.tap);
        error
    });
    let worst = errors.fold(0.0, f64::max);
    let error = error(&found.response.classes().unwrap().to_data(), logits);
    assert!(error < TOLERANCE, "{name} logits: {error:.1e}");
    worst.max(error)
}

/// Compares the gradient of the mean square of the logits by the images.
fn check_gradient(network: PublishedNetwork) {
    let name = network.name();
    let reference = reference(network);
    let device = Device::default().autodiff();
    let mut filler = Filler::new(network, &reference, &device);
    let ours = network.init(reference.image, reference.classes, &device);
    // Frozen, the network is in evaluation mode, and passes gradients to its input.
    let ours = ours.map(&mut filler).freeze();
    let input = input(reference.image, &device).require_grad();
    let response = ours.forward(input.clone());
    let logits = response.classes().unwrap().clone();
    let grads = logits.square().mean().backward();
    let gradient = input.grad(&grads).unwrap().into_data();
    let error = error(&gradient, &reference.gradient.unwrap());
    println!("| `{name}` gradient | {error:.1e} |");
    assert!(error < TOLERANCE, "{name}: {error:.1e}");
}

/// Compares a pass in training mode, and the statistics after it, of a network without dropout.
fn check_training<N: Network<Input = Tensor<4>>>(network: PublishedNetwork, ours: N) {
    let name = network.name();
    let reference = reference(network);
    let device = Device::default().autodiff();
    let mut filler = Filler::new(network, &reference, &device);
    let ours = ours.map(&mut filler);
    let training = reference.training.unwrap();
    let input = input(reference.image, &device);
    let knowledge = ours.forward_knowledge(input, &TapSelection::All);
    let worst = compare(name, &knowledge, &training.features, &training.logits);
    println!("| `{name}` training | {worst:.1e} |");

    let tensors: HashMap<_, _> = burn_distill_core::tensors(&ours.valid())
        .into_iter()
        .collect();
    let checkpoint = network
        .checkpoint(reference.image, reference.classes)
        .unwrap();
    for (statistic, expected) in [
        ("running_mean", training.mean),
        ("running_var", training.variance),
    ] {
        let key = format!("{}.{statistic}", training.norm);
        let tensor = checkpoint.iter().find(|tensor| tensor.original == key);
        let error = error(&tensors[&tensor.expect(&key).path], &expected);
        assert!(error < TOLERANCE, "{name} {key}: {error:.1e}");
    }
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
fn mobile_and_efficient_networks_are_those_of_torchvision() {
    for network in [MobileNetV3Small, EfficientNetB0] {
        check(network);
        check_gradient(network);
    }
}

#[test]
fn mobile_and_efficient_networks_train_as_those_of_torchvision() {
    let device = Device::default().autodiff();
    let Reference { image, classes, .. } = reference(MobileNetV3Small);
    let mut mobile = MobileNetV3Config::new(image, classes).init(&device);
    mobile.dropout.prob = 0.0;
    check_training(MobileNetV3Small, mobile);

    let Reference { image, classes, .. } = reference(EfficientNetB0);
    let mut efficient = EfficientNetConfig::new(image, classes).init(&device);
    efficient.dropout.prob = 0.0;
    for block in &mut efficient.blocks {
        block.stochastic_depth = None;
    }
    check_training(EfficientNetB0, efficient);
}

#[test]
fn vision_transformers_are_those_of_timm() {
    for network in [VitTiny, VitSmall, DeitTiny, DeitSmall] {
        check(network);
    }
}

#[test]
fn transformers_with_a_distillation_token_are_those_of_timm() {
    for network in [DeitTinyDistilled, DeitSmallDistilled] {
        check(network);
    }
    check_gradient(DeitTinyDistilled);
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
        (MobileNetV3Small, 0.057),
        (EfficientNetB0, 0.386),
    ] {
        let plan = network.plan([3, 224, 224], 1000).unwrap();
        let found = (plan.multiply_adds() as f64 / 1e6).round() / 1e3;
        assert_eq!(found, expected, "{}", network.name());
    }
}

/// One convolutional network of every family, for gray images of 8×8 pixels.
const FAMILIES: [PublishedNetwork; 8] = [
    Vgg8,
    MobileHalf,
    ShuffleV1,
    ShuffleV2,
    CifarResNet50,
    ResNet18,
    MobileNetV3Small,
    EfficientNetB0,
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
        // Behind the last map of MobileNetV3 there is a hidden layer.
        if family != MobileNetV3Small {
            let map = all.taps.expect("class-maps").into_map();
            let means = map.mean_dims(&[2, 3]).flatten::<2>(1, 3).into_data();
            let logits = all.response.classes().unwrap().to_data();
            means.assert_approx_eq::<f32>(&logits, Tolerance::rel_abs(1e-4, 1e-5));
        }
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
            let expected = tap.starts_with("layer") && tap.ends_with(".pre") && family != ShuffleV2;
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
    for family in FAMILIES.into_iter().chain([DeitTinyDistilled]) {
        let network = family.init([1, 8, 8], 5, &device);
        let before = burn_distill_core::tensors(&network);
        // Stochastic depth of EfficientNet must not drop a block of all samples.
        let input = Tensor::random([16, 1, 8, 8], Distribution::Default, &device);
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
