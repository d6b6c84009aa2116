use burn::tensor::{Bool, Tensor};
use burn_distill_conformance::{assert_padding_does_not_count, pad_tokens, ragged, waves};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{MultiLayerLoss, Tap};
use burn_distill_relation::*;

const SHAPE: [usize; 3] = [3, 4, 3];

/// Creates two layers: the second has the features of the first, reversed and shifted.
fn two(layer: Tensor<3>) -> [Tensor<3>; 2] {
    [layer.clone(), layer.flip([2]).add_scalar(0.5)]
}

fn taps(layers: &[Tensor<3>]) -> Vec<Tap> {
    layers.iter().cloned().map(Tap::Sequence).collect()
}

/// Creates the trial of a loss of two layers, with padding or without.
fn trial<L: MultiLayerLoss>(loss: L, padded: bool) -> Trial<3> {
    let name = format!("{}, padded: {padded}", loss.name());
    let trial = Trial::new(
        name,
        SHAPE,
        move |student: Tensor<3>, teacher: Tensor<3>| {
            let [batch_size, length, _] = student.dims();
            let mask = padded.then(|| ragged(batch_size, length));
            loss.forward_layers(taps(&two(student)), taps(&two(teacher)), mask)
        },
    )
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    );
    match padded {
        true => trial.skip(
            "invariances",
            "the length of a sequence depends on its place",
        ),
        false => trial.in_any_order(),
    }
}

// All values are from crates/relation/scripts/tokens_and_votes.py.
#[test]
fn token_flow_from_layer_to_layer() {
    let loss = TokenFlowLossConfig::new().init();
    for (padded, golden) in [
        (true, [0.055878343, 0.101411525]),
        (false, [0.062466169, 0.092047135]),
    ] {
        let trial = trial(loss.clone(), padded)
            .golden(
                wave(1.0, 0.7, 0.3),
                wave(1.0, 0.3, 0.6),
                golden[0],
                golden[1],
            )
            .minimum(0.0);
        match padded {
            true => trial.run(),
            false => {
                let reverse =
                    |student: Tensor<3>, teacher: Tensor<3>| (student.flip([1]), teacher.flip([1]));
                trial.invariant("the order of the tokens", reverse).run();
            }
        }
    }
}

#[test]
fn token_similarity_of_different_sizes() {
    let loss = TokenSimilarityLossConfig::new().init();
    for (padded, golden) in [
        (true, [0.553585773, 0.273937120]),
        (false, [0.446310879, 0.202474125]),
    ] {
        trial(loss.clone(), padded)
            .teacher_shape([3, 4, 5])
            .golden(
                wave(1.0, 0.7, 0.3),
                wave(1.0, 0.3, 0.6),
                golden[0],
                golden[1],
            )
            .skip("perfect student", "the sizes differ: see the next test")
            .run();
    }
}

#[test]
fn a_student_with_the_teachers_tokens_is_perfect() {
    let loss = TokenSimilarityLossConfig::new().init();
    trial(loss, true)
        .minimum(0.0)
        .skip("golden values", "tested above, with features of two sizes")
        .run();
}

#[test]
fn padding_does_not_count() {
    let layers = || (waves(SHAPE, [1.0, 0.7, 0.3]), waves(SHAPE, [1.0, 0.3, 0.6]));
    let (student, teacher) = layers();
    let flow = TokenFlowLossConfig::new().init();
    assert_padding_does_not_count(student, teacher, 4, pad_tokens, |student, teacher, mask| {
        flow.forward(two(student), two(teacher), mask)
    });
    let (student, teacher) = layers();
    let similarity = TokenSimilarityLossConfig::new().init();
    assert_padding_does_not_count(student, teacher, 4, pad_tokens, |student, teacher, mask| {
        similarity.forward(two(student), two(teacher), mask)
    });
}

#[test]
fn the_length_of_the_padding_does_not_matter() {
    let (student, teacher) = (waves(SHAPE, [1.0, 0.7, 0.3]), waves(SHAPE, [1.0, 0.3, 0.6]));
    let longer = |tokens: Tensor<3>| Tensor::cat(vec![tokens.clone(), tokens], 1);
    let mask = ragged(3, 4);
    let nothing = mask.clone().bool_and(mask.clone().bool_not());
    let longer_mask = Tensor::cat(vec![mask.clone(), nothing], 1);

    fn assert_same<L: MultiLayerLoss>(
        loss: L,
        cases: [(Tensor<3>, Tensor<3>, Tensor<2, Bool>); 2],
    ) {
        let [short, long] = cases.map(|(student, teacher, mask)| {
            let (student, teacher) = (taps(&two(student)), taps(&two(teacher)));
            let loss = loss.forward_layers(student, teacher, Some(mask));
            loss.into_scalar::<f64>()
        });
        assert!(
            (short - long).abs() < 1e-6,
            "{}: {short} is not {long}",
            loss.name()
        );
    }
    let cases = [
        (student.clone(), teacher.clone(), mask),
        (longer(student), longer(teacher), longer_mask),
    ];
    assert_same(TokenFlowLossConfig::new().init(), cases.clone());
    assert_same(TokenSimilarityLossConfig::new().init(), cases);
}

#[test]
fn a_single_layer_is_taken_twice() {
    fn assert_twice<L: MultiLayerLoss>(loss: L) {
        let [alone, both] = [1, 2].map(|count| {
            let layers = |layer: [f64; 3]| vec![Tap::Sequence(waves(SHAPE, layer)); count];
            let (student, teacher) = (layers([1.0, 0.7, 0.3]), layers([1.0, 0.3, 0.6]));
            let loss = loss.forward_layers(student, teacher, None);
            loss.into_scalar::<f64>()
        });
        assert_eq!(alone, both, "{}", loss.name());
    }
    assert_twice(TokenFlowLossConfig::new().init());
    assert_twice(TokenSimilarityLossConfig::new().init());
}

#[test]
#[should_panic(expected = "Each network needs 1 or 2 layers of tokens, found 3.")]
fn there_must_not_be_more_than_two_layers() {
    let layer = waves(SHAPE, [1.0, 0.7, 0.3]);
    let three = || taps(&[layer.clone(), layer.clone(), layer.clone()]);
    let loss = TokenFlowLossConfig::new().init();
    loss.forward_layers(three(), three(), None);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&TokenFlowLossConfig::new());
    assert_round_trip(&TokenSimilarityLossConfig::new());
    assert_shareable::<TokenFlowLoss>();
    assert_shareable::<TokenSimilarityLoss>();
    for (text, expected) in [
        (
            TokenFlowLossConfig::new().init().to_string(),
            "TokenFlowLoss",
        ),
        (
            TokenSimilarityLossConfig::new().init().to_string(),
            "TokenSimilarityLoss",
        ),
    ] {
        assert_eq!(text, expected);
    }
}
