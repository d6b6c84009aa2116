//! Probability matching.

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor};
use burn_distill_response::*;

#[test]
fn probability_matching() {
    rows(ProbabilityMatchingLossConfig::new().init())
        .golden(student_wave(), teacher_wave(), 0.159334357, 0.0280741214)
        .minimum(0.0)
        .run();
}

// Values: `softmax_mse_loss` of mean-teacher, divided by the samples, and the formula of
// scripts/response.py, which also gives the norms of the gradients.

fn mean(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let loss = ProbabilityMatchingLossConfig::new().init();
    loss.forward(student, teacher, Reduction::Mean)
}

#[test]
fn matches_the_reference_implementation_for_three_classes() {
    let (value, norm) = (0.0227809478, 0.032449756);
    assert_value_and_gradient_of(small_student, small_teacher, mean, value, norm);
}

#[test]
fn the_loss_is_bounded_for_a_certain_teacher() {
    let device = Device::default().autodiff();
    let student = Tensor::<2>::from_data([[0.0, 1e4, 0.0]], &device).require_grad();
    let teacher = Tensor::from_data([[1e4, 0.0, 0.0]], &device);

    let loss = mean(student.clone(), teacher);
    let grads = loss.clone().backward();

    assert!((loss.into_scalar::<f32>() - 2.0 / 3.0).abs() < 1e-5);
    let gradient = student.grad(&grads).unwrap().into_data();
    assert!(gradient.iter::<f32>().all(|value| value == 0.0));
}
