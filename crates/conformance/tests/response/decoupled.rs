//! Decoupled KD (DKD).

use crate::fixtures::*;
use crate::trials::*;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_response::*;

// Expected values: `dkd_loss` of mdistiller, and scripts/labeled.py; at other temperatures the
// formula in double precision.

#[test]
fn decoupled() {
    for (alpha, beta, temperature, value, norm) in [
        (1.0, 8.0, 4.0, 26.9512647, 5.22445216),
        (1.0, 0.0, 4.0, 0.88086216, 0.298063003),
        (0.0, 1.0, 4.0, 3.25880031, 0.649139179),
        (1.0, 8.0, 1.0, 14.4788562, 3.49643113),
        (1.0, 8.0, 0.5, 7.84668085, 2.11559393),
    ] {
        let config = DecoupledLossConfig::new().with_temperature(temperature);
        labeled(config.with_alpha(alpha).with_beta(beta).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

fn criterion(alpha: f64, beta: f64) -> DecoupledLoss {
    DecoupledLossConfig::new()
        .with_alpha(alpha)
        .with_beta(beta)
        .init()
}

#[test]
fn the_parts_make_up_the_soft_target_loss_of_every_row() {
    let device = Device::default();
    for temperature in [1.0, 4.0] {
        let parts = DecoupledLossConfig::new()
            .with_temperature(temperature)
            .init()
            .forward_parts(student(&device), teacher(&device), labels(&device));
        let log_p = log_softmax(teacher(&device).div_scalar(temperature), 1);
        let target = labels(&device).unsqueeze_dim(1);
        let sure: Tensor<1> = log_p.gather(1, target).exp().squeeze_dim(1);
        let unsure = sure.neg().add_scalar(1.0);
        let whole = parts.target.add(parts.others.mul(unsure));

        let expected = SoftTargetLossConfig::new()
            .with_temperature(temperature)
            .init()
            .forward_no_reduction(student(&device), teacher(&device));
        whole
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::relative(2e-5));
    }
}

#[test]
fn the_part_of_the_target_is_that_of_its_probability() {
    let device = Device::default();
    let parts =
        criterion(1.0, 8.0).forward_parts(student(&device), teacher(&device), labels(&device));

    // 16 (p ln(p / q) + (1 − p) ln((1 − p) / (1 − q)))
    let expected: Vec<f64> = (0..4)
        .map(|row| {
            let label = LABELS[row] as usize;
            let (p, q) = (TEACHER_SOFTMAX[row][label], STUDENT_SOFTMAX[row][label]);
            16.0 * (p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln())
        })
        .collect();
    parts.target.into_data().assert_approx_eq::<f32>(
        &TensorData::new(expected, [4]),
        Tolerance::rel_abs(1e-4, 1e-5),
    );
}

/// Computes the value and the gradient of each part for one row of class 0.
fn parts_of<const K: usize>(student: [f32; K], teacher: [f32; K]) -> [(f32, Vec<f32>); 2] {
    let device = Device::default().autodiff();
    [true, false].map(|target| {
        let student = Tensor::<2>::from_data([student], &device).require_grad();
        let parts = criterion(1.0, 8.0).forward_parts(
            student.clone(),
            Tensor::from_data([teacher], &device),
            Tensor::from_data([0], &device),
        );
        let part = if target { parts.target } else { parts.others };
        let grads = part.clone().backward();
        let gradient = student.grad(&grads).unwrap().into_data();
        (
            part.into_scalar::<f32>(),
            gradient.try_to_vec::<f32>().unwrap(),
        )
    })
}

#[test]
fn with_two_classes_the_part_of_the_others_is_zero() {
    let [_, (others, gradient)] = parts_of([0.3, -2.0], [-1.0, 4.0]);

    assert!(others.abs() < 1e-5, "{others}");
    assert!(gradient.iter().all(|g| g.abs() < 1e-5), "{gradient:?}");
}

#[test]
fn a_student_too_certain_of_the_target_has_a_gradient() {
    // At a temperature of 4 the others have e⁻⁷⁵⁰ ≈ 0 of the probability, whose logarithm is still
    // −750.
    let [(target, gradient), (others, of_others)] = parts_of([3000.0, 1.0, 2.0], [0.0, 1.0, 2.0]);

    // p = 1 / (1 + e^¼ + e^½); 16 (p ln p + (1 − p)(ln(1 − p) + 750 − ln(e^¼ + e^½)))
    let others_sum = 0.25_f64.exp() + 0.5_f64.exp();
    let p = 1.0 / (1.0 + others_sum);
    let expected = 16.0 * (p * p.ln() + (1.0 - p) * ((1.0 - p).ln() + 750.0 - others_sum.ln()));
    assert!(
        (target as f64 / expected - 1.0).abs() < 1e-5,
        "{target} is not {expected}"
    );
    assert!(
        (gradient[0] as f64 / (4.0 * (1.0 - p)) - 1.0).abs() < 1e-5,
        "{gradient:?}"
    );
    assert!(others.abs() < 1e-5, "{others}");
    assert!(of_others.iter().all(|g| g.abs() < 1e-5), "{of_others:?}");
}

#[test]
fn others_are_compared_even_if_they_are_unlikely() {
    let [_, (others, _)] = parts_of([0.0, -1e4, 8.0 - 1e4], [0.0, 8.0 - 1e4, -1e4]);

    // With x = 8 / 4, 16 x (σ(x) − σ(−x)) = 32 tanh 1
    let expected = 32.0 * 1.0_f32.tanh();
    assert!((others / expected - 1.0).abs() < 1e-5, "{others}");
}

#[test]
fn where_only_the_target_is_possible_both_parts_are_zero() {
    const NONE: f32 = f32::NEG_INFINITY;
    for (value, gradient) in parts_of([1.0, NONE, NONE], [2.0, NONE, NONE]) {
        assert!(value.abs() < 1e-5, "{value}");
        assert!(gradient.iter().all(|g| g.abs() < 1e-5), "{gradient:?}");
    }
}
