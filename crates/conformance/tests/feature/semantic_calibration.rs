use crate::layers_trial::{LayersTrial, assert_close, filled, norm};
use burn::tensor::{Device, Tensor};
use burn_distill_core::numeric::match_size;
use burn_distill_core::testing::{QUARTER, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];
const CONVOLVED: &str = "the student goes through convolutions that no map passes as it is";
const IN_ORDER: &str = "the embeddings take the samples of a batch in their order";

#[test]
fn matches_the_code_of_the_authors() {
    let attention = [[[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.2, 0.8]]];
    let attention = Tensor::<3>::from_data(attention, &Device::default());
    let teacher = filled(SHAPE, &wave(1.0, 0.23, 0.5 + QUARTER));
    let first = filled(SHAPE, &wave(1.0, 0.37, 0.2))
        .autodiff()
        .require_grad();
    let second = teacher.clone().mul_scalar(0.3).autodiff().require_grad();

    let half = |map: &Tensor<4>| map.clone().mul_scalar(0.5);
    let loss = SemanticCalibrationLoss::forward_pairs(
        attention,
        [
            (first.clone(), teacher.clone()),
            (half(&first), teacher.clone()),
            (second.clone(), half(&teacher)),
            (second.clone().mul_scalar(2.0), teacher),
        ],
    );
    let grads = loss.clone().backward();

    assert_close("value", loss.into_scalar(), 0.447425947);
    assert_close("first", norm(first.grad(&grads).unwrap()), 0.0759091522);
    assert_close("second", norm(second.grad(&grads).unwrap()), 0.0453094101);
}

fn small(device: &Device) -> SemanticCalibrationLoss {
    SemanticCalibrationLossConfig::new().init(&[3, 4], &[4, 6, 5], 8, device)
}

#[test]
fn trial() {
    let device = Device::default().autodiff();
    LayersTrial::new(
        small(&device),
        [[8, 3, 4, 6], [8, 4, 2, 3]],
        [[8, 4, 8, 4], [8, 6, 4, 3], [8, 5, 1, 1]],
    )
    .skip("perfect student", CONVOLVED)
    .skip("invariances", IN_ORDER)
    .run();
}

#[test]
fn trial_of_batches_of_one() {
    let device = Device::default().autodiff();
    LayersTrial::new(
        SemanticCalibrationLossConfig::new().init(&[3, 4], &[4, 5], 1, &device),
        [[1, 3, 4, 6], [1, 4, 2, 3]],
        [[1, 4, 8, 4], [1, 5, 1, 1]],
    )
    .skip("perfect student", CONVOLVED)
    .skip("invariances", "there is one order of one sample")
    .run();
}

#[test]
fn trial_of_one_and_two_channels() {
    let device = Device::default().autodiff();
    LayersTrial::new(
        SemanticCalibrationLossConfig::new().init(&[1, 2], &[2, 1], 2, &device),
        [[2, 1, 4, 4], [2, 2, 2, 2]],
        [[2, 2, 4, 4], [2, 1, 2, 2]],
    )
    .skip("perfect student", CONVOLVED)
    .skip("invariances", IN_ORDER)
    .run();
}

#[test]
fn the_attention_weights_adapted_maps() {
    let device = Device::default();
    let loss = small(&device);
    let student = vec![
        filled([8, 3, 4, 6], &wave(1.0, 0.7, 0.3)),
        filled([8, 4, 2, 3], &wave(1.0, 0.9, 0.1)),
    ];
    let teacher = vec![
        filled([8, 4, 4, 6], &wave(1.0, 1.1, 0.2)),
        filled([8, 6, 4, 6], &wave(1.0, 1.3, 0.5)),
        filled([8, 5, 2, 3], &wave(1.0, 0.3, 0.8)),
    ];

    let attention = loss.attention.forward(&student, &teacher);
    let mut expected = 0.0;
    for (i, map) in student.iter().enumerate() {
        for (j, target) in teacher.iter().enumerate() {
            let (map, target) = match_size(map.clone(), target.clone());
            let difference = loss.adapters[i][j].forward(map).sub(target);
            let distance = difference.square().flatten::<2>(1, 3).mean_dim(1);
            let weight = attention
                .clone()
                .slice([0..8, i..i + 1, j..j + 1])
                .reshape([8, 1]);
            expected += distance.mul(weight).sum().into_scalar::<f64>() / 16.0;
        }
    }

    let actual = loss.forward(student, teacher);
    assert_close("loss", actual.into_scalar(), expected);
}

#[test]
fn a_batch_of_another_size_is_left_out() {
    let device = Device::default().autodiff();
    let loss = small(&device);
    let maps = |shapes: &[[usize; 4]]| -> Vec<_> {
        let maps = shapes
            .iter()
            .map(|&shape| filled(shape, &wave(1.0, 0.7, 0.3)));
        maps.map(|map| map.autodiff().require_grad()).collect()
    };
    let student = maps(&[[7, 3, 4, 6], [7, 4, 2, 3]]);
    let teacher = maps(&[[7, 4, 8, 4], [7, 6, 4, 3], [7, 5, 1, 1]]);

    let value = loss.forward(student.clone(), teacher);
    let grads = value.clone().backward();

    assert_eq!(value.into_scalar::<f32>(), 0.0);
    let gradient = student[0].grad(&grads).unwrap().abs().max();
    assert_eq!(gradient.into_scalar::<f32>(), 0.0);

    // A student that is not trained.
    let frozen = student.into_iter().map(Tensor::without_autodiff).collect();
    let value = loss.forward(frozen, maps(&[[7, 4, 8, 4], [7, 6, 4, 3], [7, 5, 1, 1]]));
    value.backward();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&SemanticCalibrationLossConfig::new());
    assert_shareable::<SemanticCalibrationLoss>();
}
