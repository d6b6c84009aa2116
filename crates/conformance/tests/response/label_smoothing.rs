//! Label smoothing (LSR).

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{CrossEntropyObjective, Targets};
use burn_distill_response::*;

// Expected values: `cross_entropy` of PyTorch and `loss_label_smoothing` of Teacher-free-KD.

#[test]
fn label_smoothing() {
    for (variant, value, norm) in [
        (LabelSmoothingVariant::All, 4.24586837, 0.564727426),
        (LabelSmoothingVariant::Others, 4.20226601, 0.554809054),
    ] {
        teacher_free(LabelSmoothingLossConfig::new().with_variant(variant).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .run();
    }
}

fn criterion(smoothing: f64, variant: LabelSmoothingVariant) -> LabelSmoothingLoss {
    LabelSmoothingLossConfig::new()
        .with_smoothing(smoothing)
        .with_variant(variant)
        .init()
}

#[test]
fn without_smoothing_it_is_the_cross_entropy_with_the_labels() {
    let device = Device::default();
    let expected =
        CrossEntropyObjective::cross_entropy(student(&device), &Targets::classes(labels(&device)));
    let expected = expected.into_scalar::<f32>();
    for variant in [LabelSmoothingVariant::All, LabelSmoothingVariant::Others] {
        let loss = criterion(0.0, variant);
        let loss = loss.forward(student(&device), labels(&device), Reduction::Mean);

        assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-5);
    }
}

#[test]
fn a_class_that_the_student_excludes_matters_only_with_smoothing() {
    let device = Device::default();
    let loss = |smoothing| {
        criterion(smoothing, LabelSmoothingVariant::Others)
            .forward(
                Tensor::from_data([[0.0, 0.0, f32::NEG_INFINITY]], &device),
                Tensor::from_data([0], &device),
                Reduction::Mean,
            )
            .into_scalar::<f32>()
    };

    assert!((loss(0.0) - std::f32::consts::LN_2).abs() < 1e-5);
    assert_eq!(loss(0.1), f32::INFINITY);
}
