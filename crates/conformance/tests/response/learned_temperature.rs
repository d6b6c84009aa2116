//! Curriculum temperature (CTKD).

use crate::fixtures::*;
use crate::trials::*;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::testing::Trial;
use burn_distill_core::{Clock, Context, LossTerm, Objective, Response, Targets, Terms, Weighted};
use burn_distill_response::*;

#[test]
fn learned_temperature() {
    for (standardize, theta, value, norm) in [
        (false, 1.0, 3.61311205, 0.608897767),
        (true, -3.0, 0.83918172, 0.108959272),
    ] {
        // The second is at a temperature of 1.9: rounding errors of so small a loss grow with the
        // temperature.
        Trial::new(
            format!("LearnedTemperature, standardize {standardize}"),
            SHAPE,
            move |student: Tensor<2>, teacher: Tensor<2>| {
                let device = student.device().without_autodiff().autodiff();
                let config = LearnedTemperatureConfig::new().with_standardize(standardize);
                let term = config.with_theta(theta).init(&device);
                let (student, teacher) = (knowledge(student), knowledge(teacher));
                term.value(&Context::of(&student, &teacher).with_clock(in_epoch(1)))
            },
        )
        .golden(student_wave(), teacher_wave(), value, norm)
        .minimum(0.0)
        .invariant("a constant added to each row", shifted)
        .run();
    }
}

fn in_epoch(epoch: usize) -> Clock {
    Clock {
        epoch,
        batch: 0,
        batches: 1,
    }
}

fn objective(device: &Device) -> Weighted<LearnedTemperature> {
    Weighted::of(LearnedTemperatureConfig::new().init(device), 1.0)
}

fn terms(
    objective: &impl Objective,
    student: Tensor<2>,
    teacher: Tensor<2>,
    epoch: usize,
) -> Terms {
    let (student, teacher) = (knowledge(student), knowledge(teacher));
    let targets = Targets::Unlabeled;
    objective.forward(&Context::new(
        &student,
        &teacher,
        &targets,
        &[],
        in_epoch(epoch),
    ))
}

/// Computes the value, the norm of the gradient of the student, and the gradient of the parameter.
fn value_and_gradients(epoch: usize) -> (f64, f64, f64) {
    let device = Device::default().autodiff();
    let objective = objective(&device);
    let student = student(&device).require_grad();
    let teacher = teacher(&device).require_grad();

    let loss = terms(&objective, student.clone(), teacher.clone(), epoch).total();
    let grads = loss.clone().backward();

    assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
    let gradient = student.grad(&grads).unwrap();
    let norm = gradient.square().sum().into_scalar::<f64>().sqrt();
    let theta = objective.term.theta.val().grad(&grads).unwrap();
    (loss.into_scalar::<f64>(), norm, theta.into_scalar::<f64>())
}

// Expected values: `Global_T` with `CosineDecay` of CTKD, and scripts/response_batch.py.

#[test]
fn matches_the_reference_implementation() {
    for (epoch, expected) in [
        (10, -0.0036023067),
        (99, -0.0036023067),
        (5, -0.0018011534),
        (1, -0.024472 * 0.0036023067),
    ] {
        let (value, norm, theta) = value_and_gradients(epoch);

        assert!((value / 3.61311205 - 1.0).abs() < 1e-5, "{value}");
        assert!((norm / 0.608897767 - 1.0).abs() < 1e-5, "{norm}");
        // In single precision it is a small difference of large numbers.
        let error = (theta - expected).abs();
        assert!(error < 2e-5, "epoch {epoch}: {theta} is not {expected}");
    }
}

#[test]
fn gradient_of_the_parameter_is_reversed_in_double_precision() {
    // Shaders have no exponential function in double precision.
    let device = Device::flex().autodiff();
    let double = |tensor: Tensor<2>| tensor.cast(burn::tensor::DType::F64);
    let mut objective = objective(&device);
    objective.term.theta = objective
        .term
        .theta
        .map(|theta| theta.cast(burn::tensor::DType::F64).detach().require_grad());
    for (epoch, expected) in [(10, -0.0036023067), (5, -0.0018011534)] {
        let (student, teacher) = (double(student(&device)), double(teacher(&device)));
        let grads = terms(&objective, student, teacher, epoch)
            .total()
            .backward();
        let theta = objective
            .term
            .theta
            .val()
            .grad(&grads)
            .unwrap()
            .into_scalar::<f64>();
        // The logits are given in single precision.
        assert!(
            (theta / expected - 1.0).abs() < 1e-5,
            "{theta} is not {expected}"
        );
    }
}

#[test]
fn the_value_is_that_of_the_soft_target_loss_at_the_temperature() {
    let device = Device::default();
    let learned = objective(&device);
    let temperature = learned.term.temperature().into_scalar::<f64>();
    let fixed = SoftTargetLossConfig::new().with_temperature(temperature);
    let fixed = ResponseObjective::new(fixed.init(), 1.0);

    let learned = terms(&learned, student(&device), teacher(&device), 1).total();
    let fixed = terms(&fixed, student(&device), teacher(&device), 1).total();

    let difference = learned.sub(fixed).abs().into_scalar::<f32>();
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn a_step_changes_the_temperature_so_that_the_loss_grows() {
    let device = Device::default().autodiff();
    // At a temperature of 3.4 the loss clearly grows with the temperature.
    let config = LearnedTemperatureConfig::new().with_theta(-2.0);
    let objective = Weighted::of(config.init(&device), 1.0);
    let before = terms(&objective, student(&device), teacher(&device), 10).total();
    let grads = GradientsParams::from_grads(before.clone().backward(), &objective);

    let theta = objective.term.theta.val().into_scalar::<f32>();
    let objective = SgdConfig::new().init().step(0.5, objective, grads);
    let after = terms(&objective, student(&device), teacher(&device), 10).total();

    assert!(objective.term.theta.val().into_scalar::<f32>() > theta);
    assert!(after.into_scalar::<f64>() > before.into_scalar::<f64>());
}

#[test]
fn extreme_logits_keep_values_and_gradients_finite() {
    let device = Device::default().autodiff();
    let rows = |rows: [[f32; 3]; 2]| Tensor::<2>::from_data(rows, &device);
    const NONE: f32 = f32::NEG_INFINITY;
    for (student, teacher) in [
        (rows([[0.0; 3]; 2]), rows([[0.0; 3]; 2])),
        (rows([[1.0, 2.0, 3.0]; 2]), rows([[1.0, 2.0, 3.0]; 2])),
        (
            rows([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]]),
            rows([[-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]]),
        ),
        (
            rows([[1.0, NONE, 2.0], [NONE, 0.0, NONE]]),
            rows([[0.0, NONE, 5.0], [NONE, 3.0, NONE]]),
        ),
        (
            Tensor::from_data([[1.0], [2.0]], &device),
            Tensor::from_data([[1e4], [0.0]], &device),
        ),
        (
            Tensor::from_data([[1.0, 2.0]], &device),
            Tensor::from_data([[1e4, 0.0]], &device),
        ),
    ] {
        let objective = objective(&device);
        let student = student.require_grad();
        let loss = terms(&objective, student.clone(), teacher, 10).total();
        let grads = loss.clone().backward();

        assert!(loss.into_scalar::<f32>().is_finite());
        let theta = objective.term.theta.val().grad(&grads).unwrap().into_data();
        let gradient = student.grad(&grads).unwrap().into_data();
        assert!(theta.iter::<f32>().all(f32::is_finite), "{theta}");
        assert!(gradient.iter::<f32>().all(f32::is_finite), "{gradient}");
    }
}

#[test]
fn without_a_token_the_parameter_has_no_gradient() {
    let device = Device::default().autodiff();
    let objective = objective(&device);
    let tokens = |logits: Tensor<2>| {
        knowledge(Response::Tokens {
            logits: logits.reshape([2, 2, 5]),
            mask: Tensor::from_data([[false; 2]; 2], &device),
        })
    };
    let (student, teacher) = (tokens(student(&device)), tokens(teacher(&device)));
    let targets = Targets::Unlabeled;
    let context = Context::new(&student, &teacher, &targets, &[], in_epoch(10));

    let loss = objective.forward(&context).total();
    let grads = loss.clone().backward();

    assert_eq!(loss.into_scalar::<f32>(), 0.0);
    let theta = objective.term.theta.val().grad(&grads).unwrap().into_data();
    theta.assert_eq(&TensorData::from([0.0_f32]), false);
}
