//! Soft cross-entropy.

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance};
use burn_distill_core::testing::{Trial, computes_in_double_precision};
use burn_distill_response::*;

// Expected values: scripts/response.py, at temperatures of 0.5 and 100 the formula in double
// precision. Those without the square of the temperature are also those of `kd_ce_loss` of
// TextBrewer. The gradients with it are those of the soft-target loss.

#[test]
fn soft_cross_entropy() {
    for (temperature, scale_t2, value, norm) in [
        (0.5, true, 1.23910507, 0.27452321),
        (1.0, true, 2.79408951, 0.446282362),
        (4.0, true, 27.2011296, 0.609944507),
        (4.0, false, 1.7000706, 0.0381215317),
        (100.0, true, 16095.7893, 0.602264583),
    ] {
        let config = SoftCrossEntropyLossConfig::new().with_temperature(temperature);
        let trial = distribution(config.with_scale_t2(scale_t2).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .skip(
                "perfect student",
                "its minimum is the entropy of the teacher, not a constant",
            );
        let trial = match temperature > 50.0 && !computes_in_double_precision() {
            true => trial.skip(
                "differences",
                "single precision does not resolve differences of so large a value",
            ),
            false => trial,
        };
        trial.run();
    }
}

/// Every class has a probability of at least `epsilon / (K (1 + epsilon))`.
#[test]
fn soft_cross_entropy_with_a_uniform_share() {
    for (epsilon, value, norm) in [
        (1e-5, 1.95764271, 0.142369513),
        (0.1, 1.8972444, 0.117548545),
    ] {
        let config = SoftCrossEntropyLossConfig::new().with_temperature(2.0);
        let config = config.with_scale_t2(false).with_epsilon(epsilon);
        distribution(config.init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .skip(
                "perfect student",
                "its minimum is the entropy of the teacher, not a constant",
            )
            .run();
    }
}

/// Values from probabilities are those from the logits that they come from, and grow with the sum
/// of the probabilities unless they are renormalized.
#[test]
fn soft_cross_entropy_of_probabilities() {
    for (temperature, scale_t2, renormalize, factor, value, norm) in [
        (4.0, true, false, 1.0, 27.2011296, 0.609944507),
        (4.0, false, false, 1.0, 1.7000706, 0.0381215317),
        (1.0, true, false, 2.0, 5.58817902, 0.892564723),
        (1.0, true, true, 2.0, 2.79408951, 0.446282362),
    ] {
        let loss = SoftCrossEntropyLossConfig::new()
            .with_temperature(temperature)
            .with_scale_t2(scale_t2)
            .with_renormalize(renormalize)
            .init();
        Trial::of_rows(
            format!("{loss} of probabilities"),
            SHAPE,
            move |student, teacher: Tensor<2>, reduction| {
                let probabilities = softmax(teacher.div_scalar(temperature), 1);
                loss.forward_probabilities(student, probabilities.mul_scalar(factor), reduction)
            },
        )
        .golden(student_wave(), teacher_wave(), value, norm)
        .invariant("a constant added to each row", shifted)
        .skip(
            "perfect student",
            "its minimum is the entropy of the teacher, not a constant",
        )
        .skip("mismatches", "the argument is called probabilities")
        .run();
    }
}

fn from_logits(config: SoftCrossEntropyLossConfig) -> impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> {
    let criterion = config.init();
    move |student, teacher| criterion.forward(student, teacher, Reduction::Mean)
}

fn temperature_of_one() -> SoftCrossEntropyLossConfig {
    SoftCrossEntropyLossConfig::new().with_temperature(1.0)
}

#[test]
fn given_probabilities_are_not_softened() {
    let device = Device::default();
    let unscaled = SoftCrossEntropyLossConfig::new()
        .with_scale_t2(false)
        .init();

    let loss = unscaled.forward_probabilities(
        student(&device),
        Tensor::from_data(TEACHER_SOFTMAX, &device),
        Reduction::Mean,
    );

    assert!((loss.into_scalar::<f32>() - 1.7000706).abs() < 1e-5);
}

#[test]
fn probabilities_of_half_precision_are_widened() {
    let device = Device::default();
    if !device.supports_dtype(DType::F16) {
        return;
    }
    // The sum of the probabilities, 80 000, is above the largest `f16`, 65 504.
    let probabilities = Tensor::<2>::full([1, 4], 20_000.0, (&device, DType::F16));

    let loss = temperature_of_one()
        .with_renormalize(true)
        .init()
        .forward_probabilities(
            Tensor::zeros([1, 4], &device),
            probabilities,
            Reduction::Mean,
        );

    assert!((loss.into_scalar::<f32>() - 4.0_f32.ln()).abs() < 1e-5);
}

#[test]
fn a_row_of_zeros_contributes_nothing() {
    for renormalize in [false, true] {
        let device = Device::default().autodiff();
        let student = student(&device).require_grad();

        let loss = SoftCrossEntropyLossConfig::new()
            .with_renormalize(renormalize)
            .init()
            .forward_probabilities(
                student.clone(),
                Tensor::zeros([4, 5], &device),
                Reduction::Mean,
            );
        let grads = loss.clone().backward();

        assert_eq!(loss.into_scalar::<f32>(), 0.0);
        let grad = student.grad(&grads).unwrap().into_data();
        grad.assert_eq(&TensorData::from([[0.0_f32; 5]; 4]), false);
    }
}

#[test]
fn a_perfect_student_has_no_gradient_but_the_entropy_of_the_teacher() {
    let device = Device::default().autodiff();
    let student = Tensor::<2>::zeros([1, 4], &device).require_grad();

    let loss = from_logits(temperature_of_one())(student.clone(), Tensor::zeros([1, 4], &device));
    let grads = loss.clone().backward();

    assert!((loss.into_scalar::<f32>() - 4.0_f32.ln()).abs() < 1e-5);
    let grad = student.grad(&grads).unwrap().into_data();
    grad.assert_approx_eq::<f32>(&TensorData::from([[0.0; 4]]), Tolerance::absolute(1e-5));
}

#[test]
fn soft_cross_entropy_of_each_row() {
    let device = Device::default();
    let criterion = SoftCrossEntropyLossConfig::new().init();
    let probabilities = Tensor::<2>::from_data(TEACHER_SOFTMAX, &device);

    for rows in [
        criterion.forward_no_reduction(student(&device), teacher(&device)),
        criterion.forward_probabilities_no_reduction(student(&device), probabilities),
    ] {
        assert_rows(rows, [27.096646, 28.844745, 24.362630, 28.500497]);
    }
}
