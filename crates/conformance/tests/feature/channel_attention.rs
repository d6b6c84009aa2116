use burn::module::Param;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

/// Creates a loss that attends to all channels equally.
fn uniform(device: &Device) -> ChannelAttentionLoss {
    let mut loss = ChannelAttentionLossConfig::new().init(3, device);
    for linear in [&mut loss.squeeze, &mut loss.excite] {
        linear.weight = Param::from_tensor(Tensor::zeros([3, 3], device));
    }
    loss
}

#[test]
fn matches_knowledge_distillation_zoo() {
    let loss = uniform(&Device::default());
    Trial::new("channel attention", SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        0.123399452,
        0.0156705317,
    )
    .invariant("the scale of the features", |student, teacher| {
        (student.mul_scalar(3.0), teacher.mul_scalar(0.5))
    })
    .minimum(0.0)
    .skip("impossible classes", "features are finite")
    .run();
}

#[test]
fn larger_maps_are_pooled_and_may_be_rectangular() {
    let loss = ChannelAttentionLossConfig::new().init(3, &Device::default());
    Trial::new(
        "channel attention",
        [2, 3, 2, 5],
        move |student, teacher| loss.forward(student, teacher),
    )
    .teacher_shape([2, 3, 4, 3])
    .in_any_order()
    .minimum(0.0)
    .skip("golden values", "the attention is random")
    .skip("perfect student", "the shapes differ")
    .skip("impossible classes", "features are finite")
    .run();
}

#[test]
fn the_attention_sums_to_one_and_trains() {
    let device = Device::default().autodiff();
    let loss = ChannelAttentionLossConfig::new().init(3, &device);
    let [student, teacher] = [0.7, 1.1].map(|frequency| {
        let map = Tensor::<1, _>::arange(0..96, &device).float();
        map.mul_scalar(frequency).sin().reshape(SHAPE)
    });

    let attention = loss.attention(teacher.clone());
    let error = attention.sum_dim(1).sub_scalar(1.0).abs().max();
    assert!(error.into_scalar::<f32>() < 1e-6);

    let grads = loss.forward(student, teacher).backward();
    let bias = loss.excite.bias.as_ref().unwrap();
    let gradient = bias.grad(&grads).unwrap().abs().max();
    assert!(gradient.into_scalar::<f32>() > 0.0);
}

#[test]
fn a_dead_channel_has_no_gradient() {
    let device = Device::default().autodiff();
    let student = Tensor::<4>::from_data([[[[0.0, 0.0]], [[1.0, 2.0]], [[2.0, 1.0]]]], &device);
    let student = student.require_grad();
    let teacher = Tensor::<4>::from_data([[[[1.0, 3.0]], [[1.0, 4.0]], [[2.0, 5.0]]]], &device);

    let grads = uniform(&device)
        .forward(student.clone(), teacher)
        .backward();

    let gradient: Vec<f32> = student
        .grad(&grads)
        .unwrap()
        .into_data()
        .try_to_vec()
        .unwrap();
    assert_eq!(gradient[..2], [0.0, 0.0]);
    assert!(gradient[2] != 0.0);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ChannelAttentionLossConfig::new());
    assert_shareable::<ChannelAttentionLoss>();
}
