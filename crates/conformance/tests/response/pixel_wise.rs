use burn_distill_core::testing::{QUARTER, Trial, wave};
use burn_distill_response::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn trial(temperature: f64, value: f64, gradient: f64) -> Trial<4> {
    let loss = PixelWiseLossConfig::new()
        .with_temperature(temperature)
        .init();
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        value,
        gradient,
    )
    .in_any_order()
    .invariant("an offset of all classes", |student, teacher| {
        (student.add_scalar(3.0), teacher.sub_scalar(2.0))
    })
    .minimum(0.0)
    .skip(
        "impossible classes",
        "it excludes every class of a position, which then has no distribution",
    )
}

// The values of these tests are those of docs/reference/dense.py.

#[test]
fn matches_the_code_of_the_authors() {
    trial(1.0, 0.2148622994, 0.06730891008).run();
    trial(4.0, 0.2568065204, 0.07336981933).run();
}

#[test]
fn the_larger_map_is_pooled() {
    trial(4.0, 0.09983894338, 0.04563000212)
        .teacher_shape([2, 3, 8, 4])
        .skip("perfect student", "the shapes differ")
        .run();
}
