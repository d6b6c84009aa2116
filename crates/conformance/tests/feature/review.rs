use crate::layers_trial::{LayersTrial, assert_close, filled, parameter};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::AttentionFusionConfig;
use burn_distill_core::testing::{
    QUARTER, Trial, assert_round_trip, assert_shareable, computes_in_double_precision, wave,
};
use burn_distill_feature::*;

const CONVOLVED: &str = "the student goes through convolutions that no map passes as it is";

fn context(shape: [usize; 4]) -> Trial<4> {
    Trial::new("hierarchical context", shape, hierarchical_context_loss)
        .in_any_order()
        .minimum(0.0)
        .skip("impossible classes", "features are finite")
}

#[test]
fn the_context_matches_the_code_of_the_authors() {
    for (shape, value, norm) in [
        ([2, 3, 8, 8], 0.562495267, 0.0597036122),
        ([2, 3, 4, 4], 0.747062541, 0.157781014),
    ] {
        let (student, teacher) = (wave(1.0, 0.37, 0.2), wave(1.0, 0.23, 0.5 + QUARTER));
        context(shape).golden(student, teacher, value, norm).run();
    }
    // The first pixel of maps of 4×4.
    context([2, 3, 1, 1])
        .golden(
            wave(1.0, 0.37 * 16.0, 0.2),
            wave(1.0, 0.23 * 16.0, 0.5 + QUARTER),
            1.08300058,
            0.84970606,
        )
        .run();
}

#[test]
fn the_context_of_maps_that_are_not_square() {
    context([2, 3, 6, 3])
        .skip("golden values", "the authors' maps are square")
        .run();
    // A row of pixels is pooled along itself: to 1, ½ and ¼ as a square of that height.
    let device = Device::default();
    let row = Tensor::<4>::from_data([[[[1.0, 3.0, -1.0, -3.0]]]], &device);
    let loss = hierarchical_context_loss(row.clone(), row.zeros_like());
    assert_close("a row", loss.into_scalar(), (5.0 + 4.0 / 2.0) / 1.75);
}

#[test]
fn the_fusion_matches_the_code_of_the_authors() {
    let device = Device::default();
    let mut fusion = AttentionFusionConfig::new(3, 2, 4).init(&device);
    fusion.conv1.weight = parameter(0, [2, 3, 1, 1]);
    fusion.conv2.weight = parameter(1, [4, 2, 3, 3]);
    let attention = fusion.attention.as_mut().unwrap();
    attention.weight = parameter(2, [2, 4, 1, 1]);
    attention.bias = Some(parameter(3, [2]));

    let map = filled([2, 3, 4, 4], &wave(1.0, 0.37, 0.2));
    let deeper = filled([2, 2, 2, 2], &wave(1.0, 0.29, 0.8));
    let fused = fusion.freeze().forward(map, Some(deeper), [4, 4]);

    let first = fused.output.clone().slice([0..1, 0..1, 0..1, 0..1]);
    assert_close("first", first.into_scalar(), 0.479043239);
    assert_close("output", fused.output.sum().into_scalar(), -0.753633090);
    assert_close("residual", fused.residual.sum().into_scalar(), 1.58198918);
}

#[test]
fn every_fused_map_is_compared_with_the_map_of_its_layer() {
    let device = Device::default();
    let loss = ReviewLossConfig::new().init(&[3, 5], &[4, 6], &device);
    let student = vec![
        filled([2, 3, 4, 6], &wave(1.0, 0.7, 0.3)),
        filled([2, 5, 2, 3], &wave(1.0, 0.9, 0.1)),
    ];
    let teacher = vec![
        filled([2, 4, 8, 6], &wave(1.0, 1.1, 0.2)),
        filled([2, 6, 1, 1], &wave(1.0, 1.3, 0.5)),
    ];

    let [shallow, deep] = loss.path.fusions.as_slice() else {
        unreachable!("there are two")
    };
    let below = deep.forward(student[1].clone(), None, [1, 1]);
    let above = shallow.forward(student[0].clone(), Some(below.residual), [8, 6]);
    let expected = hierarchical_context_loss(below.output, teacher[1].clone())
        .add(hierarchical_context_loss(above.output, teacher[0].clone()));

    let actual = loss.forward(student, teacher);
    assert_close("loss", actual.into_scalar(), expected.into_scalar());
}

#[test]
fn trial() {
    let device = Device::default().autodiff();
    LayersTrial::new(
        ReviewLossConfig::new().init(&[3, 4, 4], &[4, 6, 6], &device),
        [[4, 3, 4, 6], [4, 4, 2, 3], [4, 4, 1, 1]],
        [[4, 4, 8, 6], [4, 6, 2, 2], [4, 6, 1, 1]],
    )
    .skip("perfect student", CONVOLVED)
    .run();
}

#[test]
fn trial_of_one_and_two_channels() {
    let device = Device::default().autodiff();
    LayersTrial::new(
        ReviewLossConfig::new().init(&[1, 2], &[2, 2], &device),
        [[3, 1, 4, 4], [3, 2, 2, 2]],
        [[3, 2, 4, 4], [3, 2, 2, 2]],
    )
    .skip("perfect student", CONVOLVED)
    .run();

    let to_one = LayersTrial::new(
        ReviewLossConfig::new().init(&[1, 2], &[2, 1], &device),
        [[3, 1, 4, 4], [3, 2, 2, 2]],
        [[3, 2, 4, 4], [3, 1, 2, 2]],
    )
    .skip("perfect student", CONVOLVED);
    match computes_in_double_precision() {
        true => to_one.run(),
        // On a GPU, burn 0.22.1 mixes the gradients of samples in a convolution to one channel.
        false => to_one
            .skip(
                "invariances",
                "a convolution to one channel mixes the samples",
            )
            .skip(
                "differences",
                "a convolution to one channel mixes the samples",
            )
            .run(),
    }
}

/// One value per channel and batch normalizes to zero: the loss is finite and has no gradient.
#[test]
fn a_single_pixel_of_a_single_sample_has_no_gradient() {
    let device = Device::default().autodiff();
    let loss = ReviewLossConfig::new().init(&[4], &[6], &device);
    let student = filled([1, 4, 1, 1], &wave(1.0, 0.7, 0.3))
        .autodiff()
        .require_grad();
    let teacher = filled([1, 6, 1, 1], &wave(1.0, 1.1, 0.2));

    let value = loss.forward(vec![student.clone()], vec![teacher.clone()]);
    let grads = value.clone().backward();

    let expected = teacher.square().mean().into_scalar();
    assert_close("value", value.into_scalar(), expected);
    let gradient = student.grad(&grads).unwrap().abs().max();
    assert_eq!(gradient.into_scalar::<f32>(), 0.0);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ReviewLossConfig::new());
    assert_shareable::<ReviewLoss>();
}
