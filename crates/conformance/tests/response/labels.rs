//! Losses that need the labels.

use crate::{SHAPE, shifted, student, teacher};
use burn::tensor::{Int, Tensor, TensorData};
use burn_distill_core::testing::Trial;
use burn_distill_response::{
    DecoupledLossConfig, LabelSmoothingLossConfig, LabelSmoothingVariant, LabeledLoss,
    NormalizedLossConfig, ProposalClassificationLossConfig, StandardizationConfig, TeacherFreeLoss,
    VirtualTeacherLossConfig,
};
use std::fmt::Display;

/// The labels of the golden values, for as many samples and classes as there are.
fn labels(logits: &Tensor<2>) -> Tensor<1, Int> {
    let [rows, classes] = logits.dims();
    let labels: Vec<i64> = [0, 2, 4, 1].into_iter().cycle().take(rows).collect();
    let labels: Vec<i64> = labels.iter().map(|label| label % classes as i64).collect();
    Tensor::from_data(TensorData::new(labels, [rows]), &logits.device())
}

fn labeled<L: LabeledLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, teacher, reduction| {
        let labels = labels(&student);
        loss.forward(student, teacher, labels, reduction)
    })
    .invariant("a constant added to each row", shifted)
}

fn teacher_free<L: TeacherFreeLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, _, reduction| {
        let labels = labels(&student);
        loss.forward(student, labels, reduction)
    })
    .invariant("a constant added to each row", shifted)
    .skip("perfect student", "there is no teacher to agree with")
    .skip("mismatches", "there is no teacher to mismatch")
    .skip(
        "impossible classes",
        "a label that leaves room for every class makes it infinite",
    )
}

#[test]
fn decoupled() {
    labeled(DecoupledLossConfig::new().init())
        .golden(student(), teacher(), 26.9512647, 5.22445216)
        .minimum(0.0)
        .run();
}

#[test]
fn standardized() {
    let config = DecoupledLossConfig::new().with_alpha(9.0).with_beta(72.0);
    let loss = config.with_temperature(2.0).init();
    labeled(StandardizationConfig::new().init(loss))
        .golden(student(), teacher(), 58.9123277, 8.52093693)
        .minimum(0.0)
        .run();
}

#[test]
fn normalized() {
    for (temperature, gamma, value, norm) in [
        (1.0, 1.5, 4.46726587, 0.71461186),
        (3.0, 3.5, 49.7062504, 2.24351802),
    ] {
        let config = NormalizedLossConfig::new();
        labeled(
            config
                .with_temperature(temperature)
                .with_gamma(gamma)
                .init(),
        )
        .golden(student(), teacher(), value, norm)
        .skip(
            "perfect student",
            "its minimum is an entropy of the teacher, not a constant",
        )
        .run();
    }
}

#[test]
fn proposal_classification() {
    labeled(ProposalClassificationLossConfig::new().init())
        .skip(
            "golden values",
            "there is no reference: in the tests of the loss, by its formula",
        )
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
fn virtual_teacher() {
    // By scripts/labeled.py; its sum with the cross-entropy agrees with the authors' code.
    for (soften, temperature, value, norm) in [
        (false, 20.0, 1.0844227, 0.27854513),
        (true, 2.0, 0.436882648, 0.0985191001),
    ] {
        teacher_free(
            VirtualTeacherLossConfig::new()
                .with_temperature(temperature)
                .with_soften_student(soften)
                .init(),
        )
        .golden(student(), teacher(), value, norm)
        .run();
    }
}

#[test]
fn label_smoothing() {
    for (variant, value, norm) in [
        (LabelSmoothingVariant::All, 4.24586837, 0.564727426),
        (LabelSmoothingVariant::Others, 4.20226601, 0.554809054),
    ] {
        teacher_free(LabelSmoothingLossConfig::new().with_variant(variant).init())
            .golden(student(), teacher(), value, norm)
            .run();
    }
}
