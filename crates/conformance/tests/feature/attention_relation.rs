use burn::tensor::{Bool, Tensor};
use burn_distill_conformance::{
    assert_golden, assert_padding_does_not_count, join_heads, outcome, pad_scores, pad_tokens,
    ragged, waves,
};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SCORES: [usize; 4] = [2, 2, 3, 3];
/// Shape of the values of the student, head by head.
const VALUES: [usize; 4] = [2, 2, 3, 4];
const TEACHER_VALUES: [usize; 4] = [2, 2, 3, 8];

fn forward(
    student: AttentionLayer,
    teacher: AttentionLayer,
    mask: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    AttentionRelationLossConfig::new()
        .init()
        .forward(student, teacher, mask)
}

/// Returns the scores with values that agree.
fn with_values(scores: Tensor<4>) -> AttentionLayer {
    let [batch_size, heads, length, _] = scores.dims();
    let values = join_heads(waves([batch_size, heads, length, 4], [1.0, 0.7, 0.3]));
    let values = values.cast(scores.dtype());
    AttentionLayer { scores, values }
}

/// Returns the values with scores that agree.
fn with_scores(heads: Tensor<4>) -> AttentionLayer {
    let [batch_size, number, length, _] = heads.dims();
    AttentionLayer {
        scores: waves([batch_size, number, length, length], [3.0, 0.7, 0.3]).cast(heads.dtype()),
        values: join_heads(heads),
    }
}

#[test]
fn attention_matches_the_paper() {
    Trial::new(
        "AttentionRelationLoss of scores",
        SCORES,
        |student, teacher| {
            let [batch_size, _, queries, keys] = student.dims();
            // The suite also shortens the keys.
            let mask = (queries == keys).then(|| ragged(batch_size, keys));
            forward(with_values(student), with_values(teacher), mask)
        },
    )
    .golden(
        wave(3.0, 0.7, 0.3),
        wave(3.0, 1.1, 0.1 + QUARTER),
        1.09022152,
        0.263403533,
    )
    .invariant("a shift of the scores", |student, teacher| {
        (student.add_scalar(2.0), teacher.sub_scalar(1.0))
    })
    .minimum(0.0)
    .run();
}

#[test]
fn values_match_the_paper() {
    Trial::new(
        "AttentionRelationLoss of values",
        VALUES,
        |student, teacher| {
            let [batch_size, _, length, _] = student.dims();
            let mask = ragged(batch_size, length);
            forward(with_scores(student), with_scores(teacher), Some(mask))
        },
    )
    .teacher_shape(TEACHER_VALUES)
    .golden(
        wave(1.0, 0.7, 0.3),
        wave(1.0, 0.3, 0.6 + QUARTER),
        0.0631980261,
        0.0608512831,
    )
    .invariant(
        "a rotation of the features of a head",
        |student, teacher| (student.flip([3]), teacher.neg()),
    )
    .skip("perfect student", "the heads differ in size")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
    .run();
}

#[test]
fn attention_and_values_add_up() {
    let student = AttentionLayer {
        scores: waves(SCORES, [3.0, 0.7, 0.3]),
        values: join_heads(waves(VALUES, [1.0, 0.7, 0.3])),
    };
    let teacher = AttentionLayer {
        scores: waves(SCORES, [3.0, 1.1, 0.1 + QUARTER]),
        values: join_heads(waves(TEACHER_VALUES, [1.0, 0.3, 0.6 + QUARTER])),
    };
    let mask = || Some(ragged(2, 3));

    let of_scores = outcome(student.scores.clone(), |scores| {
        let student = AttentionLayer {
            scores,
            ..student.clone()
        };
        forward(student, teacher.clone(), mask())
    });
    let of_values = outcome(student.values.clone(), |values| {
        let student = AttentionLayer {
            values,
            ..student.clone()
        };
        forward(student, teacher.clone(), mask())
    });

    let sum = 1.09022152 + 0.0631980261;
    assert_golden(&of_scores, sum, 0.263403533);
    assert_golden(&of_values, sum, 0.0608512831);
}

#[test]
fn padding_does_not_count() {
    assert_padding_does_not_count(
        waves(SCORES, [3.0, 0.7, 0.3]),
        waves(SCORES, [3.0, 1.1, 0.1]),
        3,
        pad_scores,
        |student, teacher, mask| forward(with_values(student), with_values(teacher), mask),
    );
    let with_scores = |values: Tensor<3>| AttentionLayer {
        scores: waves(SCORES, [3.0, 0.7, 0.3]),
        values,
    };
    assert_padding_does_not_count(
        waves([2, 3, 8], [1.0, 0.7, 0.3]),
        waves([2, 3, 8], [1.0, 0.3, 0.6]),
        3,
        pad_tokens,
        |student, teacher, mask| forward(with_scores(student), with_scores(teacher), mask),
    );
}

#[test]
#[should_panic(expected = "assert_shape!(teacher_scores, [batch_size, heads, _, _]): axis 1")]
fn numbers_of_heads_must_match() {
    let teacher = with_values(waves([2, 4, 3, 3], [3.0, 0.7, 0.3]));
    forward(with_values(waves(SCORES, [3.0, 0.7, 0.3])), teacher, None);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&AttentionRelationLossConfig::new());
    assert_shareable::<AttentionRelationLoss>();
    assert_eq!(
        AttentionRelationLossConfig::new().init().to_string(),
        "AttentionRelationLoss"
    );
}
