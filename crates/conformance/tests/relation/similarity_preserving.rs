use crate::common::*;
use burn::tensor::Tensor;
use burn_distill_core::testing::{assert_round_trip, assert_shareable};
use burn_distill_core::{Tap, TapLoss};
use burn_distill_relation::*;

#[test]
fn matches_rep_distiller() {
    let loss = SimilarityPreservingLossConfig::new().init();
    trial(format!("{loss}"), move |s, t| loss.forward(s, t))
        .golden(student(), teacher(), 0.051217242, 0.102465645)
        .minimum(0.0)
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .invariant("the scale of the features", scaled)
        .run();
}

#[test]
fn maps_are_flattened() {
    let loss = SimilarityPreservingLossConfig::new().init();
    let (student, teacher) = (features(4, 30, 0.7), features(4, 12, 1.9));
    let expected = loss.forward(student.clone(), teacher.clone());

    let map = |features: Tensor<2>, shape: [usize; 4]| Tap::Map(features.reshape(shape));
    let value = loss.forward_taps(map(student, [4, 2, 3, 5]), map(teacher, [4, 6, 2, 1]), None);

    value.into_data().assert_eq(&expected.into_data(), true);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&SimilarityPreservingLossConfig::new());
    assert_shareable::<SimilarityPreservingLoss>();
}
