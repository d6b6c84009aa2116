use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{Tap, TapLoss};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn trial(temperature: f64, value: f64, gradient: f64) -> Trial<4> {
    let loss = ChannelWiseLossConfig::new()
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
    .invariant("an offset of every channel", |student, teacher| {
        let offsets = Tensor::from_data([[[[3.0]], [[-0.5]], [[7.0]]]], &student.device());
        (student.add(offsets.clone()), teacher.sub(offsets))
    })
    .minimum(0.0)
}

// The values of these tests are those of docs/reference/dense.py.

#[test]
fn matches_the_code_of_the_authors() {
    trial(1.0, 0.4308111349, 0.09140844692).run();
    trial(4.0, 0.4296980953, 0.09417912931).run();
}

#[test]
fn the_larger_map_is_pooled() {
    trial(4.0, 0.5200529766, 0.1036553345)
        .teacher_shape([2, 3, 8, 4])
        .skip("perfect student", "the shapes differ")
        .run();
}

#[test]
fn a_sequence_is_a_map_of_one_column() {
    let device = Device::default();
    let sequence = |phase: f64| {
        let fill = wave(1.0, 0.7, phase);
        let values: Vec<_> = (0..2 * 5 * 3).map(|n| fill(n) as f32).collect();
        Tensor::<1>::from_floats(values.as_slice(), &device).reshape([2, 5, 3])
    };
    let (student, teacher) = (sequence(0.1), sequence(1.0));
    let loss = ChannelWiseLossConfig::new().init();
    let column = |tokens: Tensor<3>| tokens.swap_dims(1, 2).unsqueeze_dim::<4>(3);
    let expected = loss.forward(column(student.clone()), column(teacher.clone()));

    let value = loss.forward_taps(Tap::Sequence(student), Tap::Sequence(teacher), None);

    value.into_data().assert_eq(&expected.into_data(), true);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ChannelWiseLossConfig::new());
    assert_shareable::<ChannelWiseLoss>();
}
