use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance};
use burn_distill_core::initialize;
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];
const EXCLUDED: &str = "features are finite: there is nothing to exclude";

#[test]
fn matches_rep_distiller_without_a_regressor() {
    let vid = VidLossConfig::new().init(3, 3, &Device::default());
    Trial::new(format!("{vid}"), SHAPE, move |student, teacher| {
        vid.forward_regressed(student, teacher)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        0.902371421,
        0.0201713973,
    )
    // A perfect prediction leaves ½ log of the variance.
    .minimum(0.5 * 5.0_f64.ln())
    .in_any_order()
    .skip("impossible classes", EXCLUDED)
    .run();
}

#[test]
fn the_regressor_is_finite_and_the_teacher_has_no_gradient() {
    let vid = initialize(VidLossConfig::new().init(3, 5, &Device::default()));
    Trial::new(format!("{vid}"), SHAPE, move |student, teacher| {
        vid.forward(student, teacher)
    })
    .teacher_shape([2, 5, 2, 4])
    .skip("golden values", "the weights of the regressor are random")
    .skip("perfect student", "the shapes differ")
    .skip("differences", "the weights are of single precision")
    .in_any_order()
    .skip("impossible classes", EXCLUDED)
    .run();
}

fn fixture(device: &Device) -> (Tensor<4>, Tensor<4>) {
    let tensor = |frequency: f64, phase: f64| {
        let values: Vec<f64> = (0..96)
            .map(|n| (frequency * n as f64 + phase).sin())
            .collect();
        Tensor::from_data(TensorData::new(values, SHAPE), device)
    };
    (tensor(0.37, 0.2), tensor(0.23, 0.5 + QUARTER))
}

#[test]
fn trained_variances_match_rep_distiller() {
    let device = Device::default().autodiff();
    let vid = VidLossConfig::new().init(3, 3, &device);
    let (student, teacher) = fixture(&device);

    let grads = vid.forward_regressed(student, teacher).backward();

    let gradient = vid.alpha.val().grad(&grads).unwrap();
    gradient.into_data().assert_approx_eq::<f32>(
        &TensorData::from([0.0309843878, 0.0258881592, 0.0230547553]),
        Tolerance::relative(1e-4),
    );
}

#[test]
fn constant_variances_are_a_scaled_mean_squared_error() {
    let device = Device::default().autodiff();
    let config = VidLossConfig::new().with_learn_variance(false);
    let vid = config.init(3, 3, &device);
    let (student, teacher) = fixture(&device);
    let student = student.require_grad();

    let value = vid.forward_regressed(student.clone(), teacher);
    let grads = value.clone().backward();

    // Half of the hint 0.976524647, whose gradient has a norm of 0.201713973, divided by 5; ½ log
    // 5.
    let expected = 0.976524647 / 10.0 + 0.5 * 5.0_f64.ln();
    assert!((value.into_scalar::<f64>() / expected - 1.0).abs() < 1e-5);
    let gradient = student.grad(&grads).unwrap().square().sum().sqrt();
    assert!((gradient.into_scalar::<f64>() / 0.0201713973 - 1.0).abs() < 1e-4);
    assert!(vid.alpha.val().grad(&grads).is_none());
    let learning = VidLossConfig::new().init(3, 3, &device);
    assert!(vid.to_string().contains("learn_variance: false"), "{vid}");
    assert!(learning.to_string().contains("learn_variance: true"));
}

#[test]
fn every_layer_of_the_regressor_trains() {
    let device = Device::default().autodiff();
    let vid = VidLossConfig::new().init(3, 5, &device);
    let normal = Distribution::Normal(0.0, 1.0);
    let student = Tensor::random([4, 3, 8, 8], normal, &device);
    let teacher = Tensor::random([4, 5, 4, 4], normal, &device);

    let grads = vid.forward(student, teacher).backward();

    for conv in &vid.regressor {
        let gradient = conv.weight.val().grad(&grads).unwrap();
        assert!(gradient.abs().max().into_scalar::<f32>() > 0.0);
    }
}

#[test]
fn the_loss_may_be_negative() {
    let device = Device::default();
    let vid = VidLossConfig::new().with_variance(1e-3).init(3, 3, &device);
    let (student, _) = fixture(&device);

    let value = vid.forward_regressed(student.clone(), student);

    let expected = 0.5 * 1e-3_f64.ln();
    assert!((value.into_scalar::<f64>() / expected - 1.0).abs() < 1e-3);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&VidLossConfig::new());
    assert_shareable::<VidLoss>();
}
