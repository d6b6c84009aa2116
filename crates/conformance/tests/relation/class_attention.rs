use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn attentive(config: ClassAttentionLossConfig) -> Trial<4> {
    let loss = config.init();
    Trial::new(format!("{loss}"), SHAPE, move |s, t| loss.forward(s, t))
        .minimum(0.0)
        .invariant("the order of the batch", reordered)
        .invariant("a mirror", |student, teacher| {
            (student.flip([3]), teacher.flip([3]))
        })
        .skip(
            "impossible classes",
            "maps are finite: there is nothing to exclude",
        )
}

#[test]
fn matches_the_code_of_the_authors() {
    attentive(ClassAttentionLossConfig::new())
        .golden(activation(0.7), activation(0.9), 0.024335256, 0.031842880)
        .run();
    attentive(ClassAttentionLossConfig::new().with_normalize(true))
        .golden(activation(0.7), activation(0.9), 0.018068072, 0.025357036)
        .invariant("the scale of the features", scaled)
        .run();
}

#[test]
fn maps_of_other_sizes_are_pooled() {
    // In double precision from the formula, by a complex step.
    attentive(ClassAttentionLossConfig::new())
        .teacher_shape([2, 3, 6, 6])
        .golden(activation(0.7), activation(0.9), 0.102126784, 0.0652325276)
        .run();
}

#[test]
fn maps_of_one_pixel_are_compared_directly() {
    let device = Device::default();
    let map = |value: f32| Tensor::<4>::full([2, 3, 1, 1], value, &device);
    let loss = ClassAttentionLossConfig::new().init();

    assert_eq!(loss.forward(map(1.0), map(3.0)).into_scalar::<f32>(), 4.0);
}

#[test]
#[should_panic(expected = "assert_shape!(teacher, [batch_size, num_classes, _, _])")]
fn numbers_of_classes_must_match() {
    let device = Device::default();
    let loss = ClassAttentionLossConfig::new().init();
    loss.forward(
        Tensor::zeros([2, 3, 4, 4], &device),
        Tensor::zeros([2, 4, 4, 4], &device),
    );
}

#[test]
#[should_panic(expected = "`size` should be from 1 to 1024, but is 0")]
fn the_size_must_not_be_zero() {
    ClassAttentionLossConfig::new().with_size(0).init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ClassAttentionLossConfig::new());
    assert_shareable::<ClassAttentionLoss>();
}
