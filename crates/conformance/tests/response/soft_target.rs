//! Soft targets (KD).

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_response::*;

// Expected values: `DistillKL` of RepDistiller and `kd_loss` of mdistiller, which agree, and
// scripts/response.py; at `T = 0.5` the formula in double precision.

#[test]
fn soft_target() {
    for (temperature, value, norm) in [
        (0.5, 1.13622593, 0.27452321),
        (1.0, 2.00714917, 0.446282362),
        (4.0, 3.43276022, 0.609944507),
    ] {
        let config = SoftTargetLossConfig::new().with_temperature(temperature);
        distribution(config.init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn soft_target_at_its_limit() {
    // Half of the centered logit matching, in double precision: the limit of T² KL for T → ∞.
    for temperature in [50.1, 100.0, 1e4, 1e9] {
        let config = SoftTargetLossConfig::new().with_temperature(temperature);
        distribution(config.init())
            .golden(student_wave(), teacher_wave(), 3.60874207, 0.600728064)
            .minimum(0.0)
            .run();
    }
}

fn at_temperature(temperature: f64) -> impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> {
    let criterion = SoftTargetLossConfig::new()
        .with_temperature(temperature)
        .init();
    move |student, teacher| criterion.forward(student, teacher, Reduction::Mean)
}

#[test]
fn soft_target_of_each_row() {
    let device = Device::default();
    let criterion = SoftTargetLossConfig::new().init();
    let rows = criterion.forward_no_reduction(student(&device), teacher(&device));

    assert_rows(rows, [3.617784, 5.346783, 0.405030, 4.361444]);
}

#[test]
fn gradient_is_the_temperature_times_the_difference_of_probabilities() {
    let device = Device::default().autodiff();
    let student = student(&device).require_grad();

    let grads = at_temperature(4.0)(student.clone(), teacher(&device)).backward();

    // T / B = 1
    let q = Tensor::<2>::from_data(STUDENT_SOFTMAX, &Device::default());
    let p = Tensor::<2>::from_data(TEACHER_SOFTMAX, &Device::default());
    student
        .grad(&grads)
        .unwrap()
        .into_data()
        .assert_approx_eq::<f32>(&q.sub(p).into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn the_step_to_the_limit_is_small() {
    let device = Device::default();
    let loss = |temperature| {
        at_temperature(temperature)(student(&device), teacher(&device)).into_scalar::<f64>()
    };

    // The divergence itself in double precision, scripts/response.py.
    assert!((loss(49.9) / 3.61415516 - 1.0).abs() < 1e-4);
    assert!((loss(50.0) / 3.61414803 - 1.0).abs() < 1e-4);
    assert!((loss(50.1) / 3.61414091 - 1.0).abs() < 2e-3);
    assert!((loss(100.0) / 3.61190577 - 1.0).abs() < 1e-3);
    assert!((loss(1e4) / 3.60877827 - 1.0).abs() < 2e-5);
}

#[test]
fn opposite_and_certain_logits_have_an_exact_loss() {
    let device = Device::default().autodiff();
    let student = Tensor::<2>::from_data([[1e4, -1e4]], &device).require_grad();
    let teacher = Tensor::<2>::from_data([[-1e4, 1e4]], &device);

    let loss = at_temperature(4.0)(student.clone(), teacher);
    let grads = loss.clone().backward();

    // T² · 2e4 / T, and T (q − p)
    assert_near(loss, 8e4);
    let grad = student.grad(&grads).unwrap().into_data();
    grad.assert_approx_eq::<f32>(&TensorData::from([[4.0, -4.0]]), Tolerance::default());
}

#[test]
fn one_class_has_no_loss() {
    let device = Device::default().autodiff();
    for temperature in [4.0, 100.0] {
        let student = Tensor::<2>::from_data([[3.0], [-5.0]], &device).require_grad();
        let teacher = Tensor::<2>::from_data([[1.0], [2.0]], &device);

        let loss = at_temperature(temperature)(student.clone(), teacher);
        let grads = loss.clone().backward();

        assert_near(loss, 0.0);
        let grad = student.grad(&grads).unwrap().into_data();
        grad.assert_approx_eq::<f32>(
            &TensorData::from([[0.0_f32], [0.0]]),
            Tolerance::absolute(1e-5),
        );
    }
}
