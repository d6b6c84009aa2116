use burn::tensor::{Bool, Tensor};
use burn_distill_conformance::{
    assert_golden, assert_padding_does_not_count, norm, outcome, pad_scores, ragged, waves,
};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{MultiLayerLoss, Tap};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 2, 3, 3];
const STUDENT: [f64; 3] = [3.0, 0.7, 0.3];
const TEACHER: [f64; 3] = [3.0, 1.1, 0.1 + QUARTER];

fn config(padding: Padding) -> AttentionScoresLossConfig {
    AttentionScoresLossConfig::new().with_padding(padding)
}

fn trial(padding: Padding, masked: bool) -> Trial<4> {
    let loss = config(padding).init();
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        let [batch_size, _, queries, keys] = student.dims();
        // The suite also shortens the keys.
        let mask = (masked && queries == keys).then(|| ragged(batch_size, keys));
        loss.forward(student, teacher, mask)
    })
    .invariant("the order of the heads", |student, teacher| {
        (student.flip([1]), teacher.flip([1]))
    })
    .minimum(0.0)
}

#[test]
fn matches_text_brewer_and_the_code_of_the_authors() {
    // TextBrewer's `att_mse_loss` with a mask; the plain mean; the lines of the authors' training
    // loop, whose scores of padded keys are masked.
    for (padding, masked, value, norm) in [
        (Padding::Excluded, true, 8.16881822, 1.12104472),
        (Padding::Excluded, false, 9.42835459, 1.02352086),
        (Padding::Included, true, 7.49268182, 0.91242545),
    ] {
        trial(padding, masked)
            .golden(
                wave(3.0, 0.7, 0.3),
                wave(3.0, 1.1, 0.1 + QUARTER),
                value,
                norm,
            )
            .run();
    }
}

#[test]
fn padding_does_not_count() {
    assert_padding_does_not_count(
        waves(SHAPE, STUDENT),
        waves(SHAPE, TEACHER),
        3,
        pad_scores,
        |student, teacher, mask| {
            config(Padding::Excluded)
                .init()
                .forward(student, teacher, mask)
        },
    );
}

/// Adds a number to the scores of keys that are padding.
fn mask_keys(scores: Tensor<4>, added: f32) -> Tensor<4> {
    let [batch_size, heads, length, _] = scores.dims();
    let keys: Tensor<4, Bool> = ragged(batch_size, length)
        .bool_not()
        .unsqueeze_dims::<4>(&[1, 2])
        .expand([batch_size, heads, length, length]);
    let mask = Tensor::zeros_like(&scores).mask_fill(keys, added);
    scores.add(mask)
}

#[test]
fn masked_scores_count_as_zero_as_in_the_code_of_the_authors() {
    let loss = config(Padding::Included).init();
    for added in [-1e4, f32::NEG_INFINITY] {
        let teacher = mask_keys(waves(SHAPE, TEACHER), added);
        for mask in [None, Some(ragged(2, 3))] {
            let outcome = outcome(waves(SHAPE, STUDENT), |student| {
                loss.forward(mask_keys(student, added), teacher.clone(), mask)
            });
            assert_golden(&outcome, 7.49268182, 0.91242545);
        }
    }
}

#[test]
fn scores_of_minus_infinity_do_not_count() {
    let loss = config(Padding::Excluded).init();
    // Only key 2 of the second sequence is masked: 30 of the 36 pairs are left.
    let teacher = mask_keys(waves(SHAPE, TEACHER), f32::NEG_INFINITY);

    let outcome = outcome(waves(SHAPE, STUDENT), |student| {
        loss.forward(mask_keys(student, f32::NEG_INFINITY), teacher, None)
    });

    assert_golden(&outcome, 7.49268182 * 36.0 / 30.0, 0.91242545 * 36.0 / 30.0);
}

#[test]
fn masked_scores_alone_are_a_connected_zero() {
    for padding in [Padding::Excluded, Padding::Included] {
        let teacher = waves(SHAPE, TEACHER).add_scalar(f32::NEG_INFINITY);
        let (value, gradient) = outcome(waves(SHAPE, STUDENT), |student| {
            let student = student.add_scalar(f32::NEG_INFINITY);
            config(padding).init().forward(student, teacher, None)
        });

        assert_eq!(value, 0.0);
        assert_eq!(norm(&gradient), 0.0);
    }
}

#[test]
fn layers_add_up() {
    let loss = config(Padding::Excluded).init();
    let teacher = Tap::Attention(waves(SHAPE, TEACHER));

    let outcome = outcome(waves(SHAPE, STUDENT), |student| {
        let student = Tap::Attention(student);
        loss.forward_layers(
            vec![student.clone(), student],
            vec![teacher.clone(), teacher],
            Some(ragged(2, 3)),
        )
    });

    assert_golden(&outcome, 2.0 * 8.16881822, 2.0 * 1.12104472);
}

#[test]
#[should_panic(expected = "assert_shape!(teacher, [batch_size, heads, queries, keys]): axis 1")]
fn numbers_of_heads_must_match() {
    let (student, teacher) = (waves(SHAPE, STUDENT), waves([2, 4, 3, 3], TEACHER));
    AttentionScoresLossConfig::new()
        .init()
        .forward(student, teacher, None);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&AttentionScoresLossConfig::new());
    assert_shareable::<AttentionScoresLoss>();
    assert_eq!(
        AttentionScoresLossConfig::new().init().to_string(),
        "AttentionScoresLoss {padding: Excluded}"
    );
}
