use crate::layers_trial::{LayersTrial, assert_close, norm};
use crate::several_teachers::*;
use burn::module::Module;
use burn::tensor::{Device, Tolerance};
use burn_distill_core::testing::{assert_round_trip, assert_shareable};
use burn_distill_feature::*;

// Expected values: crates/feature/scripts/several_teachers.py, whose weights are exact.
#[test]
fn weights_value_and_gradient_are_those_of_the_formula() {
    for (sizes, tolerance, weights, value, gradient) in [
        (
            [4, 4, 4],
            0.6,
            [0.181504, 0.334032, 0.484465],
            0.662096772,
            0.023851317,
        ),
        (
            [4, 4, 4],
            0.35,
            [0.229970, 0.312425, 0.457604],
            0.663687223,
            0.023598553,
        ),
        (
            [2, 4, 8],
            0.6,
            [0.247374, 0.281419, 0.471207],
            0.616456432,
            0.020844199,
        ),
        (
            [2, 4, 8],
            0.35,
            [0.301956, 0.264680, 0.433364],
            0.619337906,
            0.020415627,
        ),
    ] {
        let device = Device::default();
        let config = AdaptiveFeatureLossConfig::new().with_tolerance(tolerance);
        let mut loss = config.init(3, &TEACHERS, &device);
        set(&mut loss.projections);
        let loss = loss.fork(&device.autodiff());
        let student = student().autodiff().require_grad();

        let found = loss.weights(student.clone(), teachers(sizes));
        assert!(!found.is_autodiff());
        found
            .into_data()
            .assert_approx_eq::<f32>(&[weights].into(), Tolerance::absolute(1e-3));
        let found = loss.forward(student.clone(), teachers(sizes));
        let grads = found.clone().backward();
        let found: f64 = found.into_scalar();
        assert!((found - value).abs() < 1e-3 * value, "{found} {value}");
        let found = norm(student.grad(&grads).unwrap());
        assert!(
            (found - gradient).abs() < 2e-3 * gradient,
            "{found} {gradient}"
        );
    }
}

#[test]
fn trial() {
    let device = Device::default().autodiff();
    let loss = AdaptiveFeatureLossConfig::new().init(3, &TEACHERS, &device);
    LayersTrial::new(
        OfOneClass::new(loss),
        [[4, 3, 4, 4]],
        [[4, 5, 4, 4], [4, 4, 2, 3], [4, 6, 5, 6]],
    )
    .skip(
        "perfect student",
        "the student goes through convolutions that no map passes as it is",
    )
    .skip(
        "differences",
        "the weights are constants of a batch, but they are another batch's at a distance",
    )
    .run();
}

#[test]
fn equal_teachers_are_one() {
    let device = Device::default();
    let mut loss = AdaptiveFeatureLossConfig::new().init(3, &TEACHERS, &device);
    set(&mut loss.projections);
    loss.projections = vec![loss.projections[0].clone(); 3];
    let teacher = teachers([4; 3]).swap_remove(0);

    let found: f64 = loss
        .forward(student(), vec![teacher.clone(); 3])
        .into_scalar();

    let projected = loss.projections[0].forward(student());
    let expected = projected.sub(teacher).square().mean();
    assert_close("value", found, expected.into_scalar());
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&AdaptiveFeatureLossConfig::new());
    assert_shareable::<AdaptiveFeatureLoss>();
}
