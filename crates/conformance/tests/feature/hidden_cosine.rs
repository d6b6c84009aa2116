use burn::tensor::{Bool, Tensor};
use burn_distill_conformance::{assert_padding_does_not_count, outcome, pad_tokens, ragged, waves};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{MultiLayerLoss, Tap};
use burn_distill_feature::*;

const SHAPE: [usize; 3] = [2, 3, 6];

fn loss(student: Tensor<3>, teacher: Tensor<3>, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
    HiddenCosineLossConfig::new()
        .init()
        .forward(student, teacher, mask)
}

fn trial(loss: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<1> + 'static) -> Trial<3> {
    Trial::new("HiddenCosineLoss", SHAPE, loss)
        .invariant("the scale of the features", |student, teacher| {
            (student.mul_scalar(3.0), teacher.mul_scalar(0.2))
        })
        .minimum(0.0)
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
}

#[test]
fn matches_the_code_of_the_authors() {
    let teacher = || wave(1.0, 0.23, 0.5 + QUARTER);
    trial(|student, teacher| {
        let [batch_size, length, _] = student.dims();
        loss(student, teacher, Some(ragged(batch_size, length)))
    })
    .golden(wave(1.0, 0.37, 0.2), teacher(), 0.536179475, 0.189128221)
    .run();
    trial(|student, teacher| loss(student, teacher, None))
        .golden(wave(1.0, 0.37, 0.2), teacher(), 0.732924233, 0.176458456)
        .run();
}

#[test]
fn padding_does_not_count() {
    let (student, teacher) = (
        waves(SHAPE, [1.0, 0.37, 0.2]),
        waves(SHAPE, [1.0, 1.1, 0.5]),
    );
    assert_padding_does_not_count(student, teacher, 3, pad_tokens, loss);
}

#[test]
fn several_layers_are_averaged() {
    let student = waves(SHAPE, [1.0, 0.37, 0.2]);
    let teachers = [waves(SHAPE, [1.0, 1.1, 0.5]), waves(SHAPE, [1.0, 0.9, 0.1])];
    let one = |teacher: &Tensor<3>| {
        outcome(student.clone(), |student| {
            loss(student, teacher.clone(), None)
        })
        .0
    };
    let mean = teachers.iter().map(one).sum::<f64>() / 2.0;

    let (both, _) = outcome(student.clone(), |student| {
        HiddenCosineLossConfig::new().init().forward_layers(
            vec![Tap::Sequence(student.clone()), Tap::Sequence(student)],
            teachers.clone().map(Tap::Sequence).to_vec(),
            None,
        )
    });

    assert!((both - mean).abs() < 1e-6, "{both} is not {mean}");
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&HiddenCosineLossConfig::new());
    assert_shareable::<HiddenCosineLoss>();
    assert_eq!(
        HiddenCosineLossConfig::new().init().to_string(),
        "HiddenCosineLoss"
    );
}
