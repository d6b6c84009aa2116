//! Normalized logits (NormKD).

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_response::*;

// Expected values: `NormKD` of BiLD at 1.5, and scripts/response_batch.py.

#[test]
fn norm_kd() {
    for (coefficient, value, norm) in [
        (1.0, 4.30262901, 0.610760646),
        (1.5, 4.6462093, 0.611875457),
    ] {
        rows(NormKdLossConfig::new().with_coefficient(coefficient).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

fn value(student: Tensor<2>, teacher: Tensor<2>) -> f64 {
    let criterion = NormKdLossConfig::new().init();
    let loss = criterion.forward(student, teacher, Reduction::Mean);
    loss.into_scalar::<f64>()
}

#[test]
fn scale_and_shift_of_the_student_do_not_matter() {
    let device = Device::default();
    for (scale, shift) in [(7.0, 3.0), (0.05, -20.0), (300.0, 1000.0)] {
        let moved = student(&device).mul_scalar(scale).add_scalar(shift);
        let loss = value(moved, teacher(&device));
        assert!((loss - 4.6462093).abs() < 1e-3, "{loss}");
    }
}

#[test]
fn the_loss_grows_with_the_square_of_the_scale_of_the_teacher() {
    let device = Device::default();
    let loss = value(student(&device), teacher(&device).mul_scalar(3.0));
    assert!((loss - 9.0 * 4.6462093).abs() < 1e-3, "{loss}");
}

#[test]
fn the_floor_bounds_the_gradient_of_equal_logits() {
    let device = Device::default().autodiff();
    let student = Tensor::<2>::full([4, 5], 2.0, &device).require_grad();

    let criterion = NormKdLossConfig::new().init();
    let loss = criterion.forward(student.clone(), teacher(&device), Reduction::Sum);
    let gradient = student.grad(&loss.backward()).unwrap();

    let largest = gradient.abs().max().into_scalar::<f32>();
    assert!(largest > 100.0 && largest < 1e4, "{largest}");
}

#[test]
fn one_class_has_no_loss() {
    let device = Device::default().autodiff();
    let student = Tensor::<2>::from_data([[3.0], [-5.0]], &device).require_grad();
    let teacher = Tensor::<2>::from_data([[1.0], [2.0]], &device);

    let criterion = NormKdLossConfig::new().init();
    let loss = criterion.forward(student.clone(), teacher, Reduction::Sum);
    let grads = loss.clone().backward();

    assert_near(loss, 0.0);
    let gradient = student.grad(&grads).unwrap().into_data();
    gradient.assert_approx_eq::<f32>(
        &TensorData::from([[0.0_f32], [0.0]]),
        Tolerance::absolute(1e-5),
    );
}
