//! Hard distillation.

use crate::fixtures::*;
use crate::trials::*;
use burn::tensor::{Device, Tensor};
use burn_distill_response::*;

// Expected values: scripts/response.py.

#[test]
fn hard_target() {
    rows(HardTargetLossConfig::new().init())
        .golden(student_wave(), teacher_wave(), 2.89209556, 0.552583166)
        .skip(
            "perfect student",
            "its minimum depends on the certainty of the teacher",
        )
        .run();
}

#[test]
fn hard_target_of_each_row() {
    let device = Device::default();
    let loss = HardTargetLossConfig::new().init();
    let rows = loss.forward_rows(student(&device), teacher(&device));

    assert_rows(rows, [2.879728, 4.081709, 0.741008, 3.865938]);
}

#[test]
fn the_certainty_of_the_teacher_does_not_matter() {
    let device = Device::default();
    let rows = |scale: f64| {
        let loss = HardTargetLossConfig::new().init();
        let teacher = teacher(&device).mul_scalar(scale);
        values(loss.forward_rows(student(&device), teacher))
    };
    let values_of = rows(1.0);

    assert_eq!(rows(100.0), values_of);
    assert_eq!(rows(0.01), values_of);
}

fn values(rows: Tensor<1>) -> Vec<f32> {
    rows.into_data().iter().collect()
}
