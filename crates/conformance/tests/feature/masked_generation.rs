use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{Clock, initialize};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

/// Fills the weights of a convolution as docs/reference/dense.py does.
fn fill(conv: &mut Conv2d, phase: f64) {
    let device = Device::default();
    let values = |count: usize, amplitude: f64, frequency: f64| -> Vec<f32> {
        let fill = wave(amplitude, frequency, phase);
        (0..count).map(|n| fill(n) as f32).collect()
    };
    let shape = conv.weight.dims();
    let weight = TensorData::new(values(shape.iter().product(), 0.3, 0.9), shape);
    conv.weight = Param::from_tensor(Tensor::from_data(weight, &device));
    let bias = TensorData::new(values(shape[0], 0.1, 1.7), [shape[0]]);
    conv.bias = Some(Param::from_tensor(Tensor::from_data(bias, &device)));
}

fn filled(config: MaskedGenerationLossConfig, teacher_channels: usize) -> MaskedGenerationLoss {
    let mut loss = initialize(config.init(3, teacher_channels, &Device::default()));
    if let Some(align) = &mut loss.align {
        fill(align, 0.1);
    }
    let [first, second] = &mut loss.generation;
    fill(first, 0.4);
    fill(second, 0.8);
    loss
}

/// Every third part is hidden, beginning with the first, as in docs/reference/dense.py. For a batch
/// of another size the pattern continues.
fn every_third(shape: [usize; 4]) -> Tensor<4, Bool> {
    let kept: Vec<_> = (0..shape.iter().product()).map(|n| n % 3 != 0).collect();
    Tensor::from_data(TensorData::new(kept, shape), &Device::default())
}

/// Returns a trial of a loss with a given mask, of positions or of channels.
fn trial(teacher_channels: usize, part: MaskedPart, value: f64, gradient: f64) -> Trial<4> {
    let config = MaskedGenerationLossConfig::new().with_mask(part);
    let loss = filled(config, teacher_channels);
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        let [batch_size, _, height, width] = student.dims();
        let kept = every_third(match part {
            MaskedPart::Positions => [batch_size, 1, height, width],
            MaskedPart::Channels => [batch_size, teacher_channels, 1, 1],
        });
        loss.forward_masked(student, teacher, kept)
    })
    .teacher_shape([2, teacher_channels, 4, 4])
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        value,
        gradient,
    )
    .skip("perfect student", "the generation changes the map")
    .skip("differences", "the weights are of single precision")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
    .skip("invariances", "each sample has a mask of its own")
}

#[test]
fn matches_the_code_of_the_authors_for_a_given_mask() {
    trial(3, MaskedPart::Positions, 23.87314284, 3.871969067).run();
    trial(5, MaskedPart::Positions, 40.77011069, 2.002972885).run();
    trial(5, MaskedPart::Channels, 42.67524504, 2.348267573).run();
}

#[test]
fn drawn_masks_give_finite_losses_of_any_two_maps() {
    for part in [MaskedPart::Positions, MaskedPart::Channels] {
        let loss = filled(MaskedGenerationLossConfig::new().with_mask(part), 5);
        Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
            loss.forward(student, teacher, Clock::start())
        })
        .teacher_shape([2, 5, 2, 8])
        .skip("golden values", "the masks are drawn")
        .skip("perfect student", "the shapes differ")
        .skip("differences", "the weights are of single precision")
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
        .skip("invariances", "each sample has a mask of its own")
        .run();
    }
}

#[test]
fn hidden_values_do_not_matter_and_pass_no_gradient() {
    let device = Device::default().autodiff();
    let loss = filled(MaskedGenerationLossConfig::new(), 3);
    let teacher = Tensor::<4>::ones(SHAPE, &device);
    let kept = every_third([2, 1, 4, 4]);
    let outcome = |anything: f32| {
        let student = Tensor::<4>::ones(SHAPE, &device);
        let hidden = kept.clone().bool_not().expand(SHAPE);
        let student = student.mask_fill(hidden.clone(), anything).require_grad();
        let value = loss.forward_masked(student.clone(), teacher.clone(), kept.clone());
        let grads = value.clone().backward();
        let gradient = student.grad(&grads).unwrap();
        let passed = gradient.mask_fill(hidden.bool_not(), 0.0).abs().sum();
        (value.into_scalar::<f32>(), passed.into_scalar::<f32>())
    };

    let (value, passed) = outcome(0.0);
    assert!(value > 0.0);
    assert_eq!(passed, 0.0);
    assert_eq!(outcome(f32::NAN), (value, 0.0));
}

#[test]
fn every_convolution_trains() {
    let device = Device::default().autodiff();
    let loss = MaskedGenerationLossConfig::new().init(3, 5, &device);
    let student = Tensor::<4>::ones(SHAPE, &device);
    let teacher = Tensor::<4>::ones([2, 5, 4, 4], &device);

    let grads = loss.forward(student, teacher, Clock::start()).backward();

    for conv in loss.generation.iter().chain(&loss.align) {
        let gradient = conv.weight.val().grad(&grads).unwrap();
        assert!(gradient.abs().max().into_scalar::<f32>() > 0.0);
    }
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&MaskedGenerationLossConfig::new().with_ratio(Some(0.75)));
    assert_shareable::<MaskedGenerationLoss>();
    assert_shareable::<MaskedGenerationTerm>();
    assert_shareable::<MaskedGenerationObjective>();
}
