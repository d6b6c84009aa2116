use burn_distill_core::testing::{Fill, Trial, assert_round_trip, assert_shareable};
use burn_distill_feature::*;

const STUDENT: [f64; 8] = [0.7, -0.3, -0.3, 0.7, 0.7, 0.7, 1.7, 0.2];
const TEACHER: [f64; 8] = [0.4, 1.4, -0.6, 0.4, 0.4, -0.6, 1.4, 0.4];

fn config(distance: ExitDistance) -> ExitFeatureLossConfig {
    ExitFeatureLossConfig::new().with_distance(distance)
}

fn trial(distance: ExitDistance, value: f64, gradient: f64) -> Trial<2> {
    let loss = config(distance).init();
    let fill = |values: [f64; 8]| -> Fill { Box::new(move |n| values[n]) };
    Trial::new(format!("{loss}"), [4, 2], move |student, teacher| {
        loss.forward(student, teacher)
    })
    .golden(fill(STUDENT), fill(TEACHER), value, gradient)
    .in_any_order()
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn squares_where_features_are_active() {
    // `feature_loss_function` of pytorch-be-your-own-teacher; the gradient is twice the root.
    trial(ExitDistance::ActiveSquares, 4.98, 4.46318272).run();
}

#[test]
fn the_norm_of_a_batch() {
    // `torch.dist`: the gradient of a norm that is not squared has a norm of 1.
    trial(ExitDistance::Norm, 2.25166605, 1.0)
        .invariant("the same shift of both", |student, teacher| {
            (student.add_scalar(3.0), teacher.add_scalar(3.0))
        })
        .run();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    for distance in [ExitDistance::ActiveSquares, ExitDistance::Norm] {
        assert_round_trip(&config(distance));
    }
    assert_shareable::<ExitFeatureLoss>();
}
