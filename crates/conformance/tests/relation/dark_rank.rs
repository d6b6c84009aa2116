use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Fill, Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

fn ranked(config: DarkRankLossConfig) -> Trial<2> {
    let loss = config.init();
    trial(format!("{loss}"), move |s, t| loss.forward(s, t))
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .invariant("where the features are", shifted)
        .invariant("the size of the teacher's features", |student, teacher| {
            (student, teacher.mul_scalar(5.0))
        })
        .skip(
            "perfect student",
            "it tells an order: a student does better the further apart it ranks",
        )
        // Distances go in to the third power.
        .half_tolerance(0.1)
}

/// The teacher of the golden values, but for its last sample. To two others that is as near as the
/// second is, which the authors' code counts as farther away, and other devices may not.
fn ranking() -> Fill {
    let teacher = teacher();
    Box::new(move |n| teacher(n) + if n == 9 { 1e-3 } else { 0.0 })
}

#[test]
fn as_in_the_code_of_relational_knowledge_distillation() {
    ranked(DarkRankLossConfig::new())
        .golden(student(), ranking(), 15.265656909, 32.023801998)
        .run();
}

#[test]
fn of_other_lengths_and_powers() {
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
fn ranks_the_nearest_of_the_teacher_only() {
    let device = Device::default();
    let teacher = Tensor::<2>::from_data([[0.0], [1.0], [3.0], [7.0], [15.0]], &device);
    let loss = DarkRankLossConfig::new().with_length(1).init();

    // One alone is always first.
    let value = loss.forward(features(5, 3, 0.7), teacher);

    assert_eq!(value.into_scalar::<f32>(), 0.0);
}

#[test]
#[should_panic(expected = "`power` should be from 1 to 64, but is 0.5")]
fn roots_of_distances_are_refused() {
    DarkRankLossConfig::new().with_power(0.5).init();
}

#[test]
fn configuration() {
    assert_round_trip(&DarkRankLossConfig::new());
    assert_shareable::<DarkRankLoss>();
}
