use burn::tensor::Tensor;
use burn_distill_conformance::{
    assert_golden, assert_padding_does_not_count, join_heads, outcome, pad_tokens, ragged, waves,
};
use burn_distill_core::numeric::attention_divergence;
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{MultiLayerLoss, Tap};
use burn_distill_relation::*;

/// Shape of queries, keys and values, head by head.
const SHAPE: [usize; 4] = [2, 2, 3, 4];
const TEACHER_SHAPE: [usize; 4] = [2, 2, 3, 8];

fn loss(relation_heads: usize) -> SelfAttentionRelationsLoss {
    SelfAttentionRelationsLossConfig::new()
        .with_relation_heads(relation_heads)
        .init()
}

#[test]
fn a_relation_matches_the_code_of_bloomberg() {
    Trial::new("SelfAttentionRelationsLoss", SHAPE, |student, teacher| {
        let [batch_size, _, length, _] = student.dims();
        let mask = ragged(batch_size, length);
        let (student, teacher) = (join_heads(student), join_heads(teacher));
        loss(2).forward(vec![student], vec![teacher], Some(mask))
    })
    .teacher_shape(TEACHER_SHAPE)
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
    .skip("perfect student", "the relation heads differ in size")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
    .run();
}

#[test]
fn a_relation_of_equal_sizes_is_minimal_where_both_agree() {
    Trial::new("SelfAttentionRelationsLoss", SHAPE, |student, teacher| {
        loss(2).forward(vec![join_heads(student)], vec![join_heads(teacher)], None)
    })
    .minimum(0.0)
    .in_any_order()
    .skip("golden values", "given with a mask")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
    .run();
}

#[test]
fn divergences_match_the_code_of_bloomberg() {
    for (student, teacher, value, norm) in [
        (
            wave(2.0, 0.7, 0.0),
            wave(2.0, 1.1, 0.0),
            0.161586837,
            0.102702521,
        ),
        (
            wave(3.0, 0.7, 0.3),
            wave(3.0, 1.1, 0.1 + QUARTER),
            1.09022152,
            0.263403533,
        ),
    ] {
        Trial::new("attention_divergence", [2, 2, 3, 3], |student, teacher| {
            let [batch_size, _, queries, keys] = student.dims();
            // The suite also shortens the keys.
            let mask = (queries == keys).then(|| ragged(batch_size, keys));
            attention_divergence(student, teacher, mask)
        })
        .golden(student, teacher, value, norm)
        .invariant("a shift of the scores", |student, teacher| {
            (student.add_scalar(2.0), teacher.sub_scalar(1.0))
        })
        .minimum(0.0)
        .run();
    }
}

#[test]
fn queries_keys_and_values_add_up() {
    let teacher = join_heads(waves(TEACHER_SHAPE, [1.0, 0.3, 0.6 + QUARTER]));
    let taps = |sequence: Tensor<3>| vec![Tap::Sequence(sequence); 3];

    let outcome = outcome(join_heads(waves(SHAPE, [1.0, 0.7, 0.3])), |student| {
        loss(2).forward_layers(taps(student), taps(teacher), Some(ragged(2, 3)))
    });

    assert_golden(&outcome, 3.0 * 0.0631980261, 3.0 * 0.0608512831);
}

#[test]
fn relation_heads_need_not_be_attention_heads() {
    // One relation head of a student with eight features: the order of the features does not
    // matter.
    let student = waves([2, 3, 8], [1.0, 0.7, 0.3]);
    let teacher = waves([2, 3, 6], [1.0, 0.3, 0.6]);
    let value = |heads, student: Tensor<3>| {
        let loss = loss(heads).forward(vec![student], vec![teacher.clone()], None);
        loss.into_scalar::<f64>()
    };

    let turned = value(1, student.clone().flip([2]));
    assert!((value(1, student.clone()) - turned).abs() < 1e-6);
    // Two relation heads depend on the head that a feature belongs to.
    let turned = value(2, student.clone().flip([2]));
    assert!((value(2, student) - turned).abs() > 1e-3);
}

#[test]
fn padding_does_not_count() {
    assert_padding_does_not_count(
        waves([2, 3, 8], [1.0, 0.7, 0.3]),
        waves([2, 3, 8], [1.0, 0.3, 0.6]),
        3,
        pad_tokens,
        |student, teacher, mask| loss(4).forward(vec![student], vec![teacher], mask),
    );
}

#[test]
#[should_panic(expected = "but 8 is not a multiple of 48")]
fn relation_heads_must_divide_the_features() {
    let student = waves([2, 3, 8], [1.0, 0.7, 0.3]);
    SelfAttentionRelationsLossConfig::new().init().forward(
        vec![student.clone()],
        vec![student],
        None,
    );
}

#[test]
#[should_panic(expected = "`relation_heads` should be at least 1, but is 0")]
fn there_must_be_a_relation_head() {
    loss(0);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&SelfAttentionRelationsLossConfig::new());
    assert_shareable::<SelfAttentionRelationsLoss>();
    assert_eq!(
        loss(4).to_string(),
        "SelfAttentionRelationsLoss {relation_heads: 4}"
    );
}
