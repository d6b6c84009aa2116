//! Normalized KD (NKD).

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_response::*;

// Expected values: `NKDLoss` of cls_KD, and scripts/labeled.py; at temperatures of 0.5 and 4 the
// formula in double precision.

#[test]
fn normalized() {
    for (temperature, gamma, value, norm) in [
        (0.5, 1.5, 2.37710825, 0.479106525),
        (1.0, 1.5, 4.46726587, 0.71461186),
        (3.0, 3.5, 49.7062504, 2.24351802),
        (4.0, 1.5, 36.4006075, 1.0277512),
    ] {
        let config = NormalizedLossConfig::new().with_temperature(temperature);
        labeled(config.with_gamma(gamma).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .skip(
                "perfect student",
                "its minimum is an entropy of the teacher, not a constant",
            )
            .run();
    }
}

fn criterion(temperature: f64, gamma: f64) -> NormalizedLoss {
    NormalizedLossConfig::new()
        .with_temperature(temperature)
        .with_gamma(gamma)
        .init()
}

#[test]
fn normalized_of_each_row() {
    let device = Device::default();
    let rows =
        criterion(1.0, 1.5).forward_rows(student(&device), teacher(&device), labels(&device));

    rows.into_data().assert_approx_eq::<f32>(
        &TensorData::from([4.708466, 5.577562, 1.714409, 5.868626]),
        Tolerance::absolute(1e-5),
    );
}

#[test]
fn the_temperature_does_not_change_the_part_of_the_target() {
    let device = Device::default();
    let loss = |temperature| {
        criterion(temperature, 0.0)
            .forward(
                student(&device),
                teacher(&device),
                labels(&device),
                Reduction::Mean,
            )
            .into_scalar::<f32>()
    };

    assert_eq!(loss(1.0), loss(3.0));
}

#[test]
fn with_two_classes_only_the_target_is_compared() {
    let device = Device::default();
    let loss = |gamma| {
        criterion(1.0, gamma)
            .forward(
                Tensor::from_data([[0.0, 0.0]], &device),
                Tensor::from_data([[0.0, 0.0]], &device),
                Tensor::from_data([1], &device),
                Reduction::Mean,
            )
            .into_scalar::<f32>()
    };

    assert_eq!(loss(0.0), loss(1.5));
    assert!((loss(1.5) - 0.346574).abs() < 1e-5); // ½ ln 2
}
