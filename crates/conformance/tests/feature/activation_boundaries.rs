use burn::tensor::{Device, Distribution, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn trial(config: ActivationBoundaryLossConfig, value: f64, gradient: f64) -> Trial<4> {
    let loss = config.init();
    // The values of the authors' code are those of twice the student.
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student.mul_scalar(2.0), teacher)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        value,
        gradient,
    )
    .invariant("the scale of the teacher's features", |student, teacher| {
        (student, teacher.mul_scalar(100.0))
    })
    .skip(
        "perfect student",
        "a student that equals its teacher may be within the margin: see below",
    )
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_the_code_of_the_authors() {
    let plain = ActivationBoundaryLossConfig::new();
    trial(plain.clone(), 0.398636955, 0.097812509).run();
    // Only the sum, for a batch of two.
    trial(plain.with_scale(2.0), 265.75797, 65.2083393).run();
}

#[test]
fn the_mean_of_the_elements() {
    let mean = ActivationBoundaryLossConfig::new().with_reduction(BoundaryReduction::Mean);
    trial(mean, 2.76831219, 0.679253535).run();
}

#[test]
fn beyond_the_margin_on_the_right_side_the_loss_is_zero() {
    let device = Device::default().autodiff();
    let teacher = Tensor::<4>::random(SHAPE, Distribution::Normal(0.0, 1.0), &device);
    let student = teacher.clone().sign().mul_scalar(1.5).require_grad();
    for reduction in [BoundaryReduction::Sum, BoundaryReduction::Mean] {
        let loss = ActivationBoundaryLossConfig::new()
            .with_margin(1.5)
            .with_reduction(reduction)
            .init();

        let value = loss.forward(student.clone(), teacher.clone());
        let grads = value.clone().backward();

        assert_eq!(value.into_scalar::<f32>(), 0.0);
        let gradient = student.grad(&grads).unwrap();
        assert_eq!(gradient.abs().max().into_scalar::<f32>(), 0.0);
        let wrong = loss.forward(student.clone().neg(), teacher.clone());
        assert!(wrong.into_scalar::<f32>() > 0.01);
    }
}

#[test]
fn a_neuron_at_zero_is_inactive() {
    let zero = Tensor::<4>::zeros([1, 1, 1, 1], &Device::default());
    let loss = ActivationBoundaryLossConfig::new()
        .with_reduction(BoundaryReduction::Mean)
        .init();

    let towards = loss.forward(zero.clone().sub_scalar(1.0), zero.clone());
    let away = loss.forward(zero.clone().add_scalar(1.0), zero);

    assert_eq!(towards.into_scalar::<f32>(), 0.0);
    assert_eq!(away.into_scalar::<f32>(), 4.0);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ActivationBoundaryLossConfig::new());
    assert_shareable::<ActivationBoundaryLoss>();
}
