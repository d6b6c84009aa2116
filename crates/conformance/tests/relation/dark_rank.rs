use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Fill, Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

fn ranked(config: DarkRankLossConfig) -> Trial<2> {
    let loss = config.init();
    trial(format!("{loss}"), move |s, t| loss.forward(s, t))
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .invariant("a shift of the features", shifted)
        .invariant("the scale of the teacher's features", |student, teacher| {
            (student, teacher.mul_scalar(5.0))
        })
        .skip(
            "perfect student",
            "the loss falls as the student ranks samples further apart",
        )
        // Distances enter to the third power.
        .half_tolerance(0.1)
}

/// Teacher of the golden values with another last sample. In the original that sample is as near to
/// two others as the second is, which the authors' code counts as farther away, and other devices
/// may not.
fn ranking() -> Fill {
    let teacher = teacher();
    Box::new(move |n| teacher(n) + if n == 9 { 1e-3 } else { 0.0 })
}

#[test]
fn matches_the_code_of_relational_knowledge_distillation() {
    ranked(DarkRankLossConfig::new())
        .golden(student(), ranking(), 15.265656909, 32.023801998)
        .run();
}

#[test]
fn other_lengths_and_powers_match_the_formula() {
    // In double precision from the formula, by a complex step.
    for (length, scale, power, value, norm) in [
        (2, 3.0, 3.0, 1.142805958, 8.371944104),
        (4, 2.0, 1.0, 2.648067932, 1.818068321),
        (3, 2.0, 2.0, 5.19693653, 7.098207993),
    ] {
        let config = DarkRankLossConfig::new()
            .with_length(length)
            .with_scale(scale)
            .with_power(power);
        ranked(config)
            .golden(student(), ranking(), value, norm)
            .run();
    }
}

#[test]
fn only_the_nearest_samples_of_the_teacher_are_ranked() {
    let device = Device::default();
    let teacher = Tensor::<2>::from_data([[0.0], [1.0], [3.0], [7.0], [15.0]], &device);
    let loss = DarkRankLossConfig::new().with_length(1).init();

    // A single sample is always ranked first.
    let value = loss.forward(features(5, 3, 0.7), teacher);

    assert_eq!(value.into_scalar::<f32>(), 0.0);
}

#[test]
#[should_panic(expected = "`power` should be from 1 to 64, but is 0.5")]
fn roots_of_distances_are_refused() {
    DarkRankLossConfig::new().with_power(0.5).init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&DarkRankLossConfig::new());
    assert_shareable::<DarkRankLoss>();
}
