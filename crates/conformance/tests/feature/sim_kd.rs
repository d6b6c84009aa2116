use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

fn trial(config: SimKdLossConfig) -> Trial<4> {
    let loss = config.init();
    Trial::new(format!("{loss}"), [2, 3, 4, 4], move |student, teacher| {
        loss.forward(student, teacher)
    })
    .in_any_order()
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_the_mean_squared_error_of_the_authors() {
    trial(SimKdLossConfig::new().with_relu(false))
        .golden(
            wave(1.0, 0.37, 0.2),
            wave(1.0, 0.23, 0.5 + QUARTER),
            0.976524647,
            0.201713973,
        )
        .minimum(0.0)
        .run();
}

#[test]
fn a_rectified_teacher() {
    // From the formula, in double precision.
    trial(SimKdLossConfig::new())
        .golden(
            wave(1.0, 0.37, 0.2),
            wave(1.0, 0.23, 0.5 + QUARTER),
            0.729145681512,
            0.174301663971,
        )
        .skip(
            "perfect student",
            "the teacher of this check has negative features, which are rectified",
        )
        .run();
}

#[test]
fn teacher_maps_of_another_size_are_resized() {
    for (shape, teacher) in [([2, 3, 4, 4], [2, 3, 8, 2]), ([2, 3, 5, 7], [2, 3, 2, 3])] {
        let loss = SimKdLossConfig::new().init();
        let ones = |shape: [usize; 4]| burn::tensor::Tensor::<4>::ones(shape, &Default::default());
        assert_eq!(
            loss.forward(ones(shape), ones(teacher))
                .into_scalar::<f32>(),
            0.0
        );
    }
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&SimKdLossConfig::new());
    assert_shareable::<SimKdLoss>();
}
