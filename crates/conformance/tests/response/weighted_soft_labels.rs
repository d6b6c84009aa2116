//! Weighted soft labels (WSL).

use crate::fixtures::*;
use crate::trials::*;
use burn::tensor::{Device, Tensor};
use burn_distill_response::*;

// Expected values: scripts/labeled.py, the formula of the authors' `WSLDistiller`, with its weights
// as constants.

#[test]
fn weighted_soft_labels() {
    for (temperature, value, norm) in [
        (1.0, 2.33402254, 0.387636157),
        (2.0, 6.41805583, 0.491785749),
        (4.0, 22.009898, 0.523745135),
    ] {
        let config = WeightedSoftLabelsLossConfig::new().with_temperature(temperature);
        labeled(config.init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .skip(
                "perfect student",
                "its minimum is an entropy of the teacher, not a constant",
            )
            .skip(
                "differences",
                "the weight is a constant, but differences change it",
            )
            .run();
    }
}

fn criterion() -> WeightedSoftLabelsLoss {
    WeightedSoftLabelsLossConfig::new().init()
}

#[test]
fn weights_of_each_row() {
    let device = Device::default();
    let weights = criterion().weights(student(&device), teacher(&device), labels(&device));

    assert_rows(weights, [1.0, 0.702033, 0.590542, 0.922996]);
}

#[test]
fn a_sample_counts_less_where_the_student_predicts_its_label_better() {
    let device = Device::default();
    let weight = |student: [f32; 2], teacher: [f32; 2]| {
        let [student, teacher] =
            [student, teacher].map(|row| Tensor::<2>::from_data([row], &device));
        let weights = criterion().weights(student, teacher, Tensor::from_data([0], &device));
        weights.into_scalar::<f32>()
    };

    // As certain as each other: 1 − 1/e.
    assert!((weight([1.0, 0.0], [1.0, 0.0]) - 0.632121).abs() < 1e-5);
    assert!(weight([5.0, 0.0], [1.0, 0.0]) < 0.05);
    // A teacher without any doubt, and a class that both exclude.
    assert_eq!(weight([0.0, 0.0], [1e4, 0.0]), 1.0);
    assert_eq!(weight([1e4, 0.0], [1e4, 0.0]), 0.0);
    let excluded = [f32::NEG_INFINITY, 0.0];
    assert!((weight(excluded, excluded) - 0.632121).abs() < 1e-5);
}

#[test]
fn no_gradient_flows_through_the_weight() {
    let device = Device::default().autodiff();
    let student = student(&device).require_grad();
    let weights = criterion().weights(student, teacher(&device), labels(&device));

    assert!(!weights.is_autodiff());
}
