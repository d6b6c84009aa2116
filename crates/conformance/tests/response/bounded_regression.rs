//! Bounded regression of boxes.

use crate::fixtures::*;
use burn::nn::loss::Reduction;
use burn::tensor::{DType, Device, Int, Tensor, TensorData, Tolerance};
use burn_distill_core::reduce_rows;
use burn_distill_core::testing::Trial;
use burn_distill_core::testing::{QUARTER, wave};
use burn_distill_core::{Clock, Context, Knowledge, Objective, Response, Taps, Targets, Weighted};
use burn_distill_response::*;

// Expected values: scripts/labeled.py. There is no reference implementation.

/// Creates annotated boxes, sin(0.5 n + 0.9), for the boxes of a network.
fn annotation(boxes: &Tensor<2>) -> Tensor<2> {
    let [rows, columns] = boxes.dims();
    let target: Vec<f64> = (0..rows * columns).map(wave(1.0, 0.5, 0.9)).collect();
    let target = TensorData::new(target, [rows, columns]);
    Tensor::from_data(target, (&boxes.device(), boxes.dtype()))
}

/// Runs the trial of a loss of student, teacher and annotation.
fn run(
    name: String,
    loss: impl Fn(Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<1> + 'static,
    value: f64,
    norm: f64,
) {
    Trial::of_rows(
        name,
        [4, 4],
        move |student: Tensor<2>, teacher: Tensor<2>, reduction| {
            let target = annotation(&student);
            reduce_rows(loss(student, teacher, target), None, &reduction)
        },
    )
    .golden(
        wave(1.0, 0.7, 0.3),
        wave(1.0, 1.1, 0.1 + QUARTER),
        value,
        norm,
    )
    .invariant(
        "the side of the annotation that the teacher is on",
        |student, teacher| {
            let mirrored = annotation(&teacher).mul_scalar(2.0).sub(teacher);
            (student, mirrored)
        },
    )
    .skip(
        "perfect student",
        "a student like its teacher is still pulled to the annotation",
    )
    .skip("impossible classes", "boxes have no classes")
    .skip("extreme inputs", "a box has four numbers: tested below")
    .skip(
        "differences",
        "the bound is a step, which differences do not see",
    )
    .run();
}

#[test]
fn bounded_regression() {
    for (margin, value, norm) in [
        (0.0, 0.951705627, 0.97555401),
        (1.0, 2.64608256, 1.62667838),
    ] {
        let loss = criterion(margin);
        run(
            format!("bounded part of {loss}"),
            move |student, teacher, target| loss.forward_bounded(student, teacher, target),
            value,
            norm,
        );
    }
}

#[test]
fn half_of_the_bounded_part_is_added_to_the_smooth_l1_loss() {
    for (bounded_weight, value, norm) in
        [(0.0, 1.24434767, 0.633366444), (0.5, 1.72020049, 1.0340101)]
    {
        let config = BoundedRegressionLossConfig::new().with_bounded_weight(bounded_weight);
        let loss = config.init();
        run(
            format!("{loss}"),
            move |student, teacher, target| loss.forward_no_reduction(student, teacher, target),
            value,
            norm,
        );
    }
}

fn student(device: &Device) -> Tensor<2> {
    series([4, 4], wave(1.0, 0.7, 0.3), device)
}

fn target(device: &Device) -> Tensor<2> {
    series([4, 4], wave(1.0, 0.5, 0.9), device)
}

fn criterion(margin: f64) -> BoundedRegressionLoss {
    BoundedRegressionLossConfig::new()
        .with_margin(margin)
        .init()
}

/// Computes the mean of a loss and the gradient of the student.
fn mean_and_gradient(
    loss: impl Fn(Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<1>,
    boxes: [Tensor<2>; 3],
) -> (f64, TensorData) {
    let [student, teacher, target] = boxes.map(Tensor::require_grad);
    let mean = reduce_rows(
        loss(student.clone(), teacher.clone(), target.clone()),
        None,
        &Reduction::Mean,
    );
    let grads = mean.clone().backward();
    assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
    assert!(target.grad(&grads).is_none(), "the target has a gradient");
    let gradient = student.grad(&grads).unwrap().into_data();
    (mean.into_scalar::<f64>(), gradient)
}

fn assert_value_and_norm(actual: (f64, TensorData), value: f64, norm: f64) {
    let square: f64 = actual.1.iter::<f64>().map(|value| value * value).sum();
    assert!((actual.0 / value - 1.0).abs() < 3e-6, "{}", actual.0);
    assert!(
        (square.sqrt() / norm - 1.0).abs() < 3e-6,
        "{}",
        square.sqrt()
    );
}

#[test]
fn a_student_that_beats_the_teacher_by_the_margin_has_no_bounded_part() {
    let device = Device::default();
    let boxes = |x: f32| Tensor::<2>::from_data([[x, 0.0, 0.0, 0.0]], &device);
    let bounded = |student, teacher, margin| {
        criterion(margin)
            .forward_bounded(boxes(student), boxes(teacher), boxes(0.0))
            .into_scalar::<f32>()
    };

    assert_eq!(bounded(1.0, 2.0, 0.0), 0.0); // 1 ≤ 4
    assert_eq!(bounded(1.0, 2.0, 3.0), 0.0); // 1 + 3 ≤ 4
    assert_eq!(bounded(1.0, 2.0, 3.5), 1.0);
    assert_eq!(bounded(2.0, 1.0, 0.0), 4.0);
    assert_eq!(bounded(1.0, 1.0, 0.0), 0.0); // an equal error is within the bound
}

#[test]
fn the_bound_is_on_the_whole_box() {
    let device = Device::default();
    let student = Tensor::<2>::from_data([[2.0, 0.0, 0.0, 0.0]], &device);
    let teacher = Tensor::<2>::from_data([[1.5, 1.5, 0.0, 0.0]], &device);
    let target = Tensor::zeros([1, 4], &device);

    // 4 against 4.5, although the first coordinate is worse.
    let bounded = criterion(0.0).forward_bounded(student, teacher, target);
    assert_eq!(bounded.into_scalar::<f32>(), 0.0);
}

#[test]
fn a_teacher_without_a_box_is_no_bound() {
    let device = Device::default().autodiff();
    for anything in [f32::NAN, f32::INFINITY] {
        let boxes = [
            student(&device),
            Tensor::full([4, 4], anything, &device),
            target(&device),
        ];
        let criterion = criterion(0.0);
        let actual = mean_and_gradient(
            |student, teacher, target| criterion.forward_no_reduction(student, teacher, target),
            boxes,
        );
        assert_value_and_norm(actual, 1.24434767, 0.633366444);
    }
}

#[test]
fn extreme_boxes_keep_values_and_gradients_finite() {
    let device = Device::default().autodiff();
    let full = |value: f64| Tensor::<2>::full([1, 4], value, &device);
    for (ours, theirs, truth) in [
        (0.0, 0.0, 0.0),
        (1e4, 1e4, 1e4),
        (1e4, -1e4, 0.0),
        (-1e4, 0.0, 1e4),
    ] {
        let criterion = criterion(1.0);
        let (value, gradient) = mean_and_gradient(
            |student, teacher, target| criterion.forward_no_reduction(student, teacher, target),
            [full(ours), full(theirs), full(truth)],
        );

        assert!(value.is_finite(), "{value}");
        assert!(gradient.iter::<f32>().all(f32::is_finite), "{gradient}");
    }
}

#[test]
fn half_precision_is_widened() {
    let device = Device::default();
    for dtype in [DType::F16, DType::BF16] {
        if !device.supports_dtype(dtype) {
            continue;
        }
        // The square of 1024 overflows in half precision.
        let full = |value: f64| Tensor::<2>::full([1, 4], value, (&device, dtype));
        let bounded = criterion(0.0).forward_bounded(full(1024.0), full(0.0), full(0.0));

        assert_eq!(bounded.dtype(), DType::F32);
        bounded.into_data().assert_approx_eq::<f32>(
            &TensorData::from([4.0 * 1024.0 * 1024.0]),
            Tolerance::default(),
        );
    }
}

/// The objective of matched proposals.
mod objective {
    use super::*;

    /// Knowledge of a detector with these boxes.
    fn knowledge(boxes: Tensor<2>) -> Knowledge {
        let [proposals, _] = boxes.dims();
        Knowledge {
            response: Response::Boxes {
                logits: Tensor::zeros([proposals, 3], &boxes.device()),
                deltas: boxes,
            },
            taps: Taps::default(),
        }
    }

    fn objective() -> BoundedRegressionObjective {
        BoundedRegressionObjective::new(BoundedRegressionLossConfig::new().init(), 2.0)
    }

    /// Computes the term of two proposals with these classes and the gradient of the student's
    /// boxes. The error of the student is 0.4, those of the teacher are 0.1 and 0.9.
    fn term_and_gradient(
        objective: &BoundedRegressionObjective,
        classes: [i64; 2],
        beyond: f32,
    ) -> (f32, TensorData) {
        let device = Device::default().autodiff();
        let student = Tensor::<2>::from_data([[0.4, 0.0, 0.0, 0.0], [0.4, 0.0, 0.0, 0.0]], &device);
        let student = student.require_grad();
        let teacher = [[0.1, 0.0, 0.0, 0.0], [0.9, beyond, 0.0, 0.0]];
        let targets = Targets::Boxes {
            classes: Tensor::<1, Int>::from_data(classes, &device),
            deltas: Tensor::from_data([[0.0; 4], [0.0, beyond, 0.0, 0.0]], &device),
        };

        let (ours, theirs) = (
            knowledge(student.clone()),
            knowledge(Tensor::from_data(teacher, &device)),
        );
        let context = Context::new(&ours, &theirs, &targets, &[], Clock::start());
        let term = objective.forward(&context).into_iter().next().unwrap();
        assert_eq!(
            (term.name.as_str(), term.weight),
            ("bounded-regression", 2.0)
        );
        let grads = term.value.clone().backward();
        let gradient = student.grad(&grads).unwrap().into_data();
        (term.value.into_scalar::<f32>(), gradient)
    }

    // 0.4² / 2 for the error of the student, and the same again where the teacher is better.

    #[test]
    fn the_term_is_the_mean_over_matched_proposals() {
        for (classes, expected) in [([1, 2], 0.12), ([1, 0], 0.16), ([0, 2], 0.08)] {
            let (value, _) = term_and_gradient(&objective(), classes, 0.0);
            assert!((value - expected).abs() < 1e-5, "{classes:?}: {value}");
        }
    }

    #[test]
    fn the_background_may_be_any_class() {
        let objective = Weighted::of(objective().term.with_background(2), 2.0);

        let (value, _) = term_and_gradient(&objective, [0, 2], 0.0);
        assert!((value - 0.16).abs() < 1e-5, "{value}");
    }

    #[test]
    fn boxes_of_the_background_do_not_matter() {
        let (_, expected) = term_and_gradient(&objective(), [1, 0], 0.0);
        for anything in [f32::NAN, f32::INFINITY, 1e4] {
            let (value, gradient) = term_and_gradient(&objective(), [1, 0], anything);

            assert!((value - 0.16).abs() < 1e-5, "{value}");
            gradient.assert_eq(&expected, true);
        }
    }
}
