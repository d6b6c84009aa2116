use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_relation::*;

fn trial(shape: [usize; 4], teacher: [usize; 4], scale: f64) -> Trial<4> {
    let loss = PairWiseLossConfig::new().with_scale(scale).init();
    Trial::new(format!("{loss}"), shape, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .teacher_shape(teacher)
    .in_any_order()
    .invariant("the scale of the features", |student, teacher| {
        (student.mul_scalar(3.0), teacher.mul_scalar(0.2))
    })
    .minimum(0.0)
    .skip(
        "differences",
        "the norms are constants in the backward pass, as in the authors' code",
    )
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_the_code_of_the_authors() {
    // By docs/reference/dense.py. Other sizes: of patches, of channels, and a map that the patches
    // do not divide.
    let shape = [2, 3, 4, 4];
    for (student, teacher, scale, value, gradient) in [
        (shape, shape, 0.5, 0.6059593046, 0.8514427077),
        (shape, [2, 5, 4, 4], 0.25, 0.5751481398, 0.3711194429),
        ([2, 3, 5, 3], [2, 4, 5, 3], 0.5, 0.8174771183, 0.4248575944),
    ] {
        let trial = trial(student, teacher, scale).golden(
            wave(1.0, 0.37, 0.2),
            wave(1.0, 0.23, 0.5 + QUARTER),
            value,
            gradient,
        );
        match student == teacher {
            true => trial.run(),
            false => trial.skip("perfect student", "the shapes differ").run(),
        }
    }
}

#[test]
fn the_larger_map_is_pooled() {
    trial([2, 3, 4, 4], [2, 5, 8, 2], 0.5)
        .skip("golden values", "those of maps of one size are above")
        .skip("perfect student", "the shapes differ")
        .run();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&PairWiseLossConfig::new());
    assert_shareable::<PairWiseLoss>();
}
