//! Attention-based layer projection (ALP-KD).

use burn::tensor::{Bool, Device, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{MultiLayerLoss, Tap};
use burn_distill_feature::*;

/// Samples, layers and features.
const SHAPE: [usize; 3] = [2, 3, 6];

/// Splits the middle axis into layers.
fn layers(vectors: Tensor<3>) -> Vec<Tap> {
    let layers = vectors.dims()[1];
    let layers = vectors.chunk(layers, 1).into_iter();
    layers
        .map(|layer| Tap::Vector(layer.squeeze_dim(1)))
        .collect()
}

fn loss() -> LayerProjectionLoss {
    LayerProjectionLossConfig::new().init()
}

// Expected values: crates/feature/scripts/layer_projection.py.

#[test]
fn layer_projection() {
    Trial::new(loss().to_string(), SHAPE, |student, teacher| {
        loss().forward_layers(layers(student), layers(teacher), None)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        0.247941625,
        0.14160724,
    )
    .invariant("the order of the teacher's layers", |student, teacher| {
        (student, teacher.flip([1]))
    })
    .skip(
        "perfect student",
        "a layer is compared with a mixture of all layers, which is another one",
    )
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
    .run();
}

fn sequence(values: [[f32; 2]; 2], device: &Device) -> Tensor<3> {
    Tensor::from_data([values], device)
}

#[test]
fn every_token_has_its_own_mixture() {
    let device = Device::default();
    let student = sequence([[100.0, 0.0], [0.0, 100.0]], &device);
    let first = sequence([[100.0, 0.0], [9.0, 0.0]], &device);
    let second = sequence([[0.0, 9.0], [0.0, 100.0]], &device);

    // The first token is like the first layer of the teacher, the second like the second.
    let value = loss().forward(vec![student], vec![first, second], None);
    assert_eq!(value.into_scalar::<f32>(), 0.0);
}

#[test]
fn gradients_flow_through_the_mixture() {
    let device = Device::default().autodiff();
    let student = Tensor::<3>::from_data([[[1.0, 0.0]]], &device).require_grad();
    let teacher = [[1.0, 0.0], [0.0, 1.0]].map(|row| Tensor::<3>::from_data([[row]], &device));
    let value = loss().forward(vec![student.clone()], teacher.to_vec(), None);
    let grads = value.backward();
    let gradient: Vec<f64> = student.grad(&grads).unwrap().into_data().iter().collect();

    // By hand: with a = e / (1 + e), h − c = (1 − a, −(1 − a)), and ∂a/∂h = a (1 − a) (1, −1).
    let a = 1.0_f64.exp() / (1.0 + 1.0_f64.exp());
    let through = 2.0 * (1.0 - a) * a * (1.0 - a);
    let expected = [(1.0 - a) - through, -(1.0 - a) + through];
    for (found, expected) in gradient.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn padding_does_not_count() {
    let device = Device::default().autodiff();
    let of = |padding: f32| {
        let student = sequence([[1.0, 2.0], [padding, padding]], &device).require_grad();
        let teacher = sequence([[0.5, 1.0], [padding, 3.0]], &device);
        let mask = Tensor::<2, Bool>::from_data([[true, false]], &device);
        let taps = (
            vec![Tap::Sequence(student.clone())],
            vec![Tap::Sequence(teacher)],
        );
        let value = loss().forward_layers(taps.0, taps.1, Some(mask));
        let grads = value.clone().backward();
        let gradient = student.grad(&grads).unwrap().into_data();
        (value.into_scalar::<f32>(), gradient)
    };

    let plain = of(7.0);
    assert_eq!(of(f32::NAN), plain);
    // One layer of the teacher is its own mixture: (0.5² + 1²) / 2.
    assert!((plain.0 - 0.625).abs() < 1e-6);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&LayerProjectionLossConfig::new());
    assert_shareable::<LayerProjectionLoss>();
}
