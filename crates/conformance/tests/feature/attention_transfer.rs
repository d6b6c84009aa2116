use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn trial(config: AttentionTransferLossConfig) -> Trial<4> {
    let loss = config.init();
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .invariant("the scale of the features", |student, teacher| {
        (student.mul_scalar(3.0), teacher.mul_scalar(-2.0))
    })
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_the_code_of_the_authors() {
    for (shape, teacher, value, norm) in [
        (
            SHAPE,
            wave(1.0, 0.23, 0.5 + QUARTER),
            0.0352712611,
            0.0173713956,
        ),
        (
            [2, 5, 4, 4],
            wave(1.0, 0.19, 0.4 + QUARTER),
            0.0369779058,
            0.019420804,
        ),
        (
            [2, 5, 2, 2],
            wave(1.0, 0.61, 0.4 + QUARTER),
            0.0289896968,
            0.0758441082,
        ),
    ] {
        let trial = trial(AttentionTransferLossConfig::new())
            .teacher_shape(shape)
            .golden(wave(1.0, 0.37, 0.2), teacher, value, norm);
        match shape == SHAPE {
            true => trial.run(),
            false => trial.skip("perfect student", "the shapes differ").run(),
        }
    }
}

#[test]
fn matches_the_paper() {
    let config = AttentionTransferLossConfig::new().with_distance(AttentionDistance::Norm);
    trial(config)
        .golden(
            wave(1.0, 0.37, 0.2),
            wave(1.0, 0.23, 0.5 + QUARTER),
            0.750976363,
            0.186034592,
        )
        .run();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&AttentionTransferLossConfig::new());
    assert_shareable::<AttentionTransferLoss>();
}
