//! Cross-entropy weighted by the confidence of the teacher (CWTM).

use crate::fixtures::*;
use crate::trials::*;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use burn_distill_core::testing::Trial;
use burn_distill_core::{CrossEntropyObjective, Targets};
use burn_distill_response::*;

// Expected values: scripts/response.py.

#[test]
fn confidence_weighted() {
    let loss = |student: Tensor<2>, teacher: Tensor<2>| {
        let targets = Targets::classes(cycled_labels(&student));
        ConfidenceWeighted::cross_entropy(student, teacher, &targets)
    };
    Trial::new("ConfidenceWeighted", SHAPE, loss)
        .golden(student_wave(), teacher_wave(), 4.32722349, 0.605297248)
        .invariant("a constant added to each row", shifted)
        .skip(
            "perfect student",
            "the labels have a gradient for a student like its teacher",
        )
        .skip(
            "impossible classes",
            "a label that the student excludes has no logarithm",
        )
        .run();
}

/// Computes the loss with these labels, of which some may be unknown.
fn of(labels: [i64; 4], labeled: Option<[bool; 4]>) -> impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> {
    move |student, teacher| {
        let device = student.device();
        let targets = Targets::Classes {
            classes: Tensor::from_data(labels, &device),
            labeled: labeled.map(|labeled| Tensor::<1, Bool>::from_data(labeled, &device)),
        };
        ConfidenceWeighted::cross_entropy(student, teacher, &targets)
    }
}

#[test]
fn matches_the_formula_of_the_paper_for_three_classes() {
    let small = of(SMALL_LABELS, None);
    assert_value_and_gradient_of(
        small_student,
        small_teacher,
        small,
        0.406007004,
        0.210923362,
    );
}

#[test]
fn a_teacher_of_equal_confidence_changes_nothing() {
    let device = Device::default();
    let targets = Targets::classes(Tensor::from_data(LABELS, &device));
    let teacher = Tensor::<2>::zeros([4, 5], &device);

    let weighted = ConfidenceWeighted::cross_entropy(student(&device), teacher, &targets);
    let cross_entropy = CrossEntropyObjective::cross_entropy(student(&device), &targets);

    let difference = weighted.sub(cross_entropy).abs().into_scalar::<f32>();
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn whether_the_teacher_is_right_does_not_matter() {
    let device = Device::default();
    let loss = of(LABELS, None);
    let teacher = teacher(&device);

    let value = loss(student(&device), teacher.clone()).into_scalar::<f32>();
    let flipped = loss(student(&device), teacher.flip([1])).into_scalar::<f32>();

    assert!((value - flipped).abs() < 1e-5);
}

#[test]
fn unlabeled_samples_do_not_count_and_without_labels_the_loss_is_a_connected_zero() {
    let device = Device::default().autodiff();
    let loss_of = |rows: usize, labeled: Option<[bool; 4]>| {
        let tracked = small_student(&device)
            .narrow(0, 0, rows)
            .detach()
            .require_grad();
        let teacher = small_teacher(&device).narrow(0, 0, rows);
        let classes = Tensor::<1, burn::tensor::Int>::from_data(SMALL_LABELS, &device);
        let targets = Targets::Classes {
            classes: classes.narrow(0, 0, rows),
            labeled: labeled.map(|labeled| Tensor::from_data(labeled, &device)),
        };
        let loss = ConfidenceWeighted::cross_entropy(tracked.clone(), teacher, &targets);
        let grads = loss.clone().backward();
        let gradient = tracked.grad(&grads).unwrap().into_data();
        (
            loss.into_scalar::<f32>(),
            gradient.iter::<f32>().collect::<Vec<_>>(),
        )
    };

    let (value, gradient) = loss_of(4, Some([true, true, false, false]));
    let (expected, first) = loss_of(2, None);
    assert!((value - expected).abs() < 1e-5);
    assert!(
        gradient[..6]
            .iter()
            .zip(first)
            .all(|(a, b)| (a - b).abs() < 1e-5)
    );
    assert_eq!(gradient[6..], [0.0; 6]);

    assert_eq!(loss_of(4, Some([false; 4])), (0.0, vec![0.0; 12]));
    let tracked = small_student(&device).require_grad();
    let loss = ConfidenceWeighted::cross_entropy(
        tracked.clone(),
        small_teacher(&device),
        &Targets::Unlabeled,
    );
    let grads = loss.clone().backward();
    assert_eq!(loss.into_scalar::<f32>(), 0.0);
    let gradient = tracked.grad(&grads).unwrap().into_data();
    assert_eq!(gradient, TensorData::from([[0.0_f32; 3]; 4]));
}
