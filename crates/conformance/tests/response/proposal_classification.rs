//! Classes of proposals.

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{CrossEntropyObjective, Targets};
use burn_distill_response::*;

// Expected values: scripts/labeled.py. There is no reference implementation.

#[test]
fn proposal_classification() {
    labeled(ProposalClassificationLossConfig::new().init())
        .golden(student_wave(), teacher_wave(), 3.83489437, 0.5096206)
        .skip(
            "perfect student",
            "its minimum depends on teacher and labels",
        )
        .skip(
            "impossible classes",
            "infinite where the label itself is excluded",
        )
        .run();
}

#[test]
fn without_the_teacher_it_is_the_cross_entropy_with_the_labels() {
    let device = Device::default();
    let criterion = ProposalClassificationLossConfig::new()
        .with_hard_weight(1.0)
        .init();
    let loss = criterion.forward(
        student(&device),
        teacher(&device),
        labels(&device),
        Reduction::Mean,
    );

    let expected =
        CrossEntropyObjective::cross_entropy(student(&device), &Targets::classes(labels(&device)));
    let (loss, expected) = (loss.into_scalar::<f32>(), expected.into_scalar::<f32>());
    assert!((loss - expected).abs() < 1e-5);
}

#[test]
fn the_background_may_be_any_class() {
    let device = Device::default();
    let loss = |background, classes| {
        ProposalClassificationLossConfig::new()
            .with_hard_weight(0.0)
            .with_background(background)
            .init()
            .forward(
                Tensor::from_data([[0.0, 0.0, 0.0]], &device),
                Tensor::from_data([[0.0, 0.0, 1e4]], &device),
                Tensor::from_data([classes], &device),
                Reduction::Sum,
            )
            .into_scalar::<f32>()
    };

    assert!((loss(2, 0) - 1.5 * 1.098612).abs() < 1e-5); // 1.5 ln 3
    assert!((loss(0, 0) - 1.098612).abs() < 1e-5);
}
