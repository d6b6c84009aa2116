use burn::tensor::Tensor;
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn trial(shape: [usize; 4], value: f64, gradient: f64) -> Trial<4> {
    let loss = PearsonLossConfig::new().init();
    Trial::new("PearsonLoss", SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .teacher_shape(shape)
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        value,
        gradient,
    )
    .invariant("size and offset of every channel", |student, teacher| {
        let sizes = Tensor::from_data([[[[3.0]], [[0.5]], [[7.0]]]], &student.device());
        let moved = student.mul(sizes.clone()).add(sizes);
        (moved, teacher.mul_scalar(0.3).sub_scalar(1.0))
    })
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_mmrazor() {
    trial(SHAPE, 0.969663571, 0.120918652).run();
}

#[test]
fn the_student_is_interpolated() {
    // By the formula in double precision.
    for (shape, value, gradient) in [
        ([2, 3, 8, 6], 0.974035482, 0.0888868326),
        ([2, 3, 3, 2], 0.880948417, 0.154743058),
    ] {
        trial(shape, value, gradient)
            .skip("perfect student", "the shapes differ")
            .run();
    }
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&PearsonLossConfig::new());
    assert_shareable::<PearsonLoss>();
}
