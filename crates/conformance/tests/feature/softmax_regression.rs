//! Softmax regression (SRRL).

use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

/// Returns the weight of a classifier of three channels and five classes.
fn weight() -> Tensor<2> {
    let values: Vec<f64> = (0..15).map(|n| (1.1 * n as f64 + 0.4).sin()).collect();
    Tensor::<1>::from_data(values.as_slice(), &Device::default()).reshape([3, 5])
}

fn trial(alpha: f64, beta: f64) -> Trial<4> {
    let config = SoftmaxRegressionLossConfig::new();
    let config = config.with_alpha(alpha).with_beta(beta);
    let loss = config.init_with_weight(weight());
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .in_any_order()
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

// Expected values: crates/feature/scripts/softmax_regression.py, the formula of the authors' code.

#[test]
fn softmax_regression() {
    for (alpha, beta, value, norm) in [
        (1.0, 1.0, 0.190519413, 0.117381123),
        (1.0, 0.0, 0.139518417, 0.0762447859),
        (0.0, 1.0, 0.0510009963, 0.0609506162),
        (2.0, 0.5, 0.304537332, 0.168617606),
    ] {
        let student = wave(1.0, 0.37, 0.2);
        let teacher = wave(1.0, 0.23, 0.5 + QUARTER);
        trial(alpha, beta)
            .golden(student, teacher, value, norm)
            .run();
    }
}

#[test]
fn maps_of_any_size_have_a_mean() {
    let device = Device::default();
    let loss = SoftmaxRegressionLossConfig::new().init_with_weight(weight());
    let ones = |shape: [usize; 4]| Tensor::<4>::ones(shape, &device);

    let of_sizes = loss.forward(ones([2, 3, 8, 4]), ones([2, 3, 5, 7]));
    assert!(of_sizes.into_scalar::<f32>().abs() < 1e-10);
}

#[test]
fn features_that_the_classifier_ignores_count_in_the_first_part_only() {
    let device = Device::default();
    // The second channel does not matter to any class.
    let weight = Tensor::<2>::from_data([[1.0, -1.0], [0.0, 0.0]], &device);
    let part = |alpha, beta| {
        let config = SoftmaxRegressionLossConfig::new().with_alpha(alpha);
        let loss = config.with_beta(beta).init_with_weight(weight.clone());
        let student = Tensor::<4>::from_data([[[[2.0]], [[5.0]]]], &device);
        let teacher = Tensor::<4>::from_data([[[[2.0]], [[1.0]]]], &device);
        loss.forward(student, teacher).into_scalar::<f32>()
    };

    assert_eq!([part(1.0, 0.0), part(0.0, 1.0)], [8.0, 0.0]);
}

#[test]
#[should_panic(expected = "assert_shape!(teacher, [batch_size, channels, _, _])")]
fn other_channels_than_those_of_the_classifier_are_refused() {
    let device = Device::default();
    let loss = SoftmaxRegressionLossConfig::new().init_with_weight(weight());
    loss.forward(
        Tensor::zeros([2, 3, 1, 1], &device),
        Tensor::zeros([2, 4, 1, 1], &device),
    );
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&SoftmaxRegressionLossConfig::new().with_beta(0.5));
    assert_shareable::<SoftmaxRegressionLoss>();
}
