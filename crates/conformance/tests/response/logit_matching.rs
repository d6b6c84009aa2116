//! Logit matching.

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_core::testing::Trial;
use burn_distill_response::*;

// Expected values: scripts/response.py. Those of the mean also `Logits` of
// Knowledge-Distillation-Zoo and, with a temperature, `kd_mse_loss` of TextBrewer.

#[test]
fn logit_matching() {
    for (variant, temperature, value, norm) in [
        (LogitMatchingVariant::Mean, 1.0, 9.25778358, 1.36071919),
        (LogitMatchingVariant::Mean, 4.0, 0.578611474, 0.0850449494),
        (LogitMatchingVariant::HalfSum, 1.0, 23.144459, 3.40179798),
        (LogitMatchingVariant::Centered, 1.0, 7.21748413, 1.20145613),
        (
            LogitMatchingVariant::AbsoluteSum,
            1.0,
            12.5106242,
            1.11803399,
        ),
    ] {
        let config = LogitMatchingLossConfig::new().with_variant(variant);
        let loss = config.with_temperature(temperature).init();
        let trial = Trial::of_rows(
            format!("{loss}"),
            SHAPE,
            move |student, teacher, reduction| loss.forward(student, teacher, reduction),
        );
        let trial = match variant {
            LogitMatchingVariant::Centered => {
                trial.invariant("a constant added to each row", shifted)
            }
            _ => trial.in_any_order(),
        };
        trial
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

const NONE: f32 = f32::NEG_INFINITY;

fn with_variant(variant: LogitMatchingVariant) -> LogitMatchingLoss {
    LogitMatchingLossConfig::new().with_variant(variant).init()
}

fn mean_of(criterion: LogitMatchingLoss) -> impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> {
    move |student, teacher| criterion.forward(student, teacher, Reduction::Mean)
}

#[test]
fn logit_matching_of_each_row() {
    let device = Device::default();
    let criterion = LogitMatchingLossConfig::new().init();
    let rows = criterion.forward_no_reduction(student(&device), teacher(&device));

    assert_rows(rows, [11.210961, 14.307404, 1.389884, 10.122885]);
}

#[test]
fn excluded_classes_do_not_count() {
    for (variant, expected, gradient) in [
        (LogitMatchingVariant::Mean, 5.0, [1.0, 0.0, 3.0]),
        (LogitMatchingVariant::HalfSum, 5.0, [1.0, 0.0, 3.0]),
        (LogitMatchingVariant::Centered, 1.0, [-1.0, 0.0, 1.0]),
        (LogitMatchingVariant::AbsoluteSum, 4.0, [1.0, 0.0, 1.0]),
    ] {
        // Excluded by both, and by the teacher only.
        for excluded in [NONE, 7.0] {
            let device = Device::default().autodiff();
            let student = Tensor::<2>::from_data([[1.0, excluded, 5.0]], &device).require_grad();
            let teacher = Tensor::<2>::from_data([[0.0, NONE, 2.0]], &device);

            let loss = mean_of(with_variant(variant))(student.clone(), teacher);
            let grads = loss.clone().backward();

            // By hand: d = (1, 3), with mean 2.
            assert_near(loss, expected);
            let grad = student.grad(&grads).unwrap().into_data();
            grad.assert_approx_eq::<f32>(&TensorData::from([gradient]), Tolerance::absolute(1e-5));
        }
    }
}

#[test]
fn a_row_without_a_class_is_zero() {
    for variant in [
        LogitMatchingVariant::Mean,
        LogitMatchingVariant::HalfSum,
        LogitMatchingVariant::Centered,
        LogitMatchingVariant::AbsoluteSum,
    ] {
        let device = Device::default().autodiff();
        let student = Tensor::<2>::from_data([[1.0, 2.0]], &device).require_grad();
        let teacher = Tensor::<2>::from_data([[NONE, NONE]], &device);

        let loss = mean_of(with_variant(variant))(student.clone(), teacher);
        let grads = loss.clone().backward();

        assert_near(loss, 0.0);
        let grad = student.grad(&grads).unwrap().into_data();
        grad.assert_approx_eq::<f32>(
            &TensorData::from([[0.0_f32, 0.0]]),
            Tolerance::absolute(1e-5),
        );
    }
}
