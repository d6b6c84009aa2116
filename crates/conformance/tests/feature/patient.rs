use burn::tensor::Tensor;
use burn_distill_conformance::{outcome, waves};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{MultiLayerLoss, Tap};
use burn_distill_feature::*;

const SHAPE: [usize; 3] = [2, 3, 6];

fn trial(
    reduction: PatientReduction,
    taps: impl Fn(Tensor<3>) -> Vec<Tap> + 'static,
    value: f64,
    norm: f64,
) -> Trial<3> {
    let loss = PatientLossConfig::new().with_reduction(reduction).init();
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward_layers(taps(student), taps(teacher), None)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        value,
        norm,
    )
    .invariant("the scale of the features", |student, teacher| {
        (student.mul_scalar(3.0), teacher.mul_scalar(0.2))
    })
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

/// Splits the middle axis into layers.
fn layers(vectors: Tensor<3>) -> Vec<Tap> {
    let layers = vectors.dims()[1];
    vectors
        .chunk(layers, 1)
        .into_iter()
        .map(|layer| Tap::Vector(layer.squeeze_dim(1)))
        .collect()
}

#[test]
fn matches_the_paper_and_the_code_of_the_authors() {
    trial(PatientReduction::Sum, layers, 4.3975454, 1.05875073).run();
    trial(PatientReduction::MeanAll, layers, 0.244308078, 0.0588194852).run();
}

#[test]
fn the_first_token_of_a_sequence_counts() {
    // `pkd_loss` of TextBrewer.
    trial(
        PatientReduction::Sum,
        |sequence| vec![Tap::Sequence(sequence)],
        0.604335431,
        0.51054278,
    )
    .run();
}

#[test]
fn a_single_token_is_a_vector() {
    let (student, teacher) = (waves(SHAPE, [1.0, 0.7, 0.3]), waves(SHAPE, [1.0, 1.1, 0.1]));
    let first = |tokens: Tensor<3>| tokens.narrow(1, 0, 1).squeeze_dim::<2>(1);
    let loss = PatientLossConfig::new().init();

    let sequence = outcome(student.clone(), |student| {
        loss.forward_layers(
            vec![Tap::Sequence(student)],
            vec![Tap::Sequence(teacher.clone())],
            None,
        )
    });
    let vector = outcome(student, |student| {
        loss.forward(vec![first(student)], vec![first(teacher.clone())])
    });

    assert_eq!(sequence.0, vector.0);
    sequence.1.assert_eq(&vector.1, true);
}

#[test]
#[should_panic(expected = "Student and teacher need the same number of layers")]
fn numbers_of_layers_must_match() {
    let layer = || waves([2, 6], [1.0, 0.7, 0.3]);
    PatientLossConfig::new()
        .init()
        .forward(vec![layer()], vec![layer(), layer()]);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&PatientLossConfig::new());
    assert_shareable::<PatientLoss>();
    assert_eq!(
        PatientLossConfig::new().init().to_string(),
        "PatientLoss {reduction: Sum}"
    );
}
