use crate::layers_trial::{LayersTrial, assert_close, filled, norm, parameter};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{QUARTER, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

fn student() -> Vec<Tensor<4>> {
    let maps = [
        filled([2, 3, 4, 4], &wave(1.0, 0.37, 0.2)),
        filled([2, 4, 2, 2], &wave(1.0, 0.29, 0.8)),
    ];
    maps.map(|map| map.autodiff().require_grad()).into()
}

fn teacher() -> Vec<Tensor<4>> {
    vec![
        filled([2, 5, 4, 4], &wave(1.0, 0.19, 0.4 + QUARTER)),
        filled([2, 5, 2, 2], &wave(1.0, 0.61, 0.4 + QUARTER)),
    ]
}

fn assert_golden(loss: Tensor<1>, student: &[Tensor<4>], value: f64, norms: [f64; 2]) {
    let grads = loss.clone().backward();
    assert_close("value", loss.into_scalar(), value);
    for (map, expected) in student.iter().zip(norms) {
        assert_close("gradient", norm(map.grad(&grads).unwrap()), expected);
    }
}

#[test]
fn the_value_term_matches_the_code_of_the_authors() {
    let attention = [[[0.7, 0.3]], [[0.4, 0.6]]];
    let attention = Tensor::<3>::from_data(attention, &Device::default());
    let student = student();
    let teacher = teacher().into_iter().take(1).collect();

    let loss = AttentionFeatureLoss::forward_linked(attention, student.clone(), teacher);

    assert_golden(loss, &student, 0.0285883324, [0.0106409793, 0.0110537643]);
}

#[test]
fn matches_the_code_of_the_authors() {
    let device = Device::default();
    let config = AttentionFeatureLossConfig::new().with_features(4);
    let mut loss = config.init(&[3, 4], &[5, 5], &device);
    let attention = &mut loss.attention;
    attention.teacher_places = parameter(0, [2, 4]);
    attention.student_places = parameter(1, [2, 4]);
    let layers = attention
        .keys
        .iter_mut()
        .chain([&mut attention.bilinear])
        .chain(&mut attention.queries);
    for (index, layer) in layers.enumerate() {
        set(&mut layer.linear, 2 + 2 * index);
    }
    // In validation mode, the statistics of the normalization have their initial values.
    let loss = loss.freeze();

    let student = student();
    let value = loss.forward(student.clone(), teacher());

    assert_golden(value, &student, 0.0306588707, [0.0133091007, 0.0148334058]);
}

/// PyTorch stores the weights of a linear layer transposed.
fn set(linear: &mut Linear, index: usize) {
    let [inputs, outputs] = linear.weight.dims();
    let weight = parameter(index, [outputs, inputs]).val();
    linear.weight = Param::from_tensor(weight.transpose());
    linear.bias = Some(parameter(index + 1, [outputs]));
}

#[test]
fn trial() {
    let device = Device::default().autodiff();
    let config = AttentionFeatureLossConfig::new().with_features(8);
    LayersTrial::new(
        config.init(&[3, 4], &[4, 6, 5], &device),
        [[4, 3, 4, 6], [4, 4, 2, 3]],
        [[4, 4, 8, 4], [4, 6, 4, 3], [4, 5, 1, 1]],
    )
    .skip(
        "perfect student",
        "the attention mixes several different layers: one layer is tested below",
    )
    .run();
}

#[test]
fn trial_of_one_and_two_channels() {
    let device = Device::default().autodiff();
    let config = AttentionFeatureLossConfig::new().with_features(2);
    LayersTrial::new(
        config.init(&[1, 2], &[2, 1], &device),
        [[3, 1, 4, 4], [3, 2, 2, 2]],
        [[3, 2, 4, 4], [3, 1, 2, 2]],
    )
    .skip(
        "perfect student",
        "the attention mixes several different layers: one layer is tested below",
    )
    .run();
}

/// Maps are compared by the places where their squares are large: sign and scale do not matter.
#[test]
fn trial_of_one_perfect_layer() {
    let device = Device::default().autodiff();
    LayersTrial::new(
        AttentionFeatureLossConfig::new()
            .with_features(4)
            .init(&[5], &[5], &device),
        [[3, 5, 4, 4]],
        [[3, 5, 4, 4]],
    )
    .perfect(|teacher| {
        let student = teacher.into_iter().map(|map| map.mul_scalar(-2.0));
        student.collect()
    })
    .run();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&AttentionFeatureLossConfig::new());
    assert_shareable::<AttentionFeatureLoss>();
}
