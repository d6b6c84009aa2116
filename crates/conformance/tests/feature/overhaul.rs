use burn::module::Param;
use burn::nn::BatchNormConfig;
use burn::tensor::{Device, Distribution, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn trial(loss: OverhaulLoss, value: f64, gradient: f64) -> Trial<4> {
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
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_the_code_of_the_authors() {
    let margins = [-0.3, -0.5, -0.7];
    let loss = OverhaulLossConfig::new().init_with_margins(&margins, &Device::default());
    trial(loss, 0.0413154124, 0.00909014988).run();

    let sum = OverhaulLossConfig::new().with_scale(1.0);
    let loss = sum.init_with_margins(&margins, &Device::default());
    trial(loss, 41.3154124, 9.09014988).run();
}

#[test]
fn with_estimated_margins() {
    // By the formula in double precision, with margins −0.6475, −0.6402 and −0.6535.
    trial(OverhaulLossConfig::new().init(), 0.041550862, 0.00911601471).run();
}

#[test]
fn margins_come_from_the_normalization_of_the_teacher() {
    let device = Device::default();
    let mut norm = BatchNormConfig::new(3).init(&device);
    norm.gamma = Param::from_tensor(Tensor::from_floats([1.0, -0.8, 0.1], &device));
    norm.beta = Param::from_tensor(Tensor::from_floats([0.0, -1.0, 1.0], &device));

    let loss = OverhaulLossConfig::new().init_with_normalization(&norm, &device);

    let margins: Vec<f64> = loss.margins.unwrap().into_data().iter::<f64>().collect();
    let expected = [-0.797884561, -1.16338037, -0.3];
    for (margin, expected) in margins.iter().zip(expected) {
        assert!((margin - expected).abs() < 1e-6, "{margin} {expected}");
    }
}

#[test]
fn below_the_margin_of_an_inactive_teacher_the_loss_is_zero() {
    let device = Device::default().autodiff();
    let margins = [-0.3, -0.5, -0.7];
    let loss = OverhaulLossConfig::new().init_with_margins(&margins, &device);
    let depth = Tensor::<4>::random(SHAPE, Distribution::Uniform(1.0, 9.0), &device);
    let (student, teacher) = (depth.clone().neg().require_grad(), depth.mul_scalar(-3.0));

    let value = loss.forward(student.clone(), teacher.clone());
    let grads = value.clone().backward();

    assert_eq!(value.into_scalar::<f32>(), 0.0);
    let gradient = student.grad(&grads).unwrap();
    assert_eq!(gradient.abs().max().into_scalar::<f32>(), 0.0);
    // Above the margin it is pulled to the margin, and not further.
    let above = loss.forward(teacher.zeros_like(), teacher.clone());
    let expected = 1e-3 * 16.0 * (0.09 + 0.25 + 0.49);
    assert!((above.into_scalar::<f64>() - expected).abs() < 1e-6);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&OverhaulLossConfig::new());
    assert_shareable::<OverhaulLoss>();
}
