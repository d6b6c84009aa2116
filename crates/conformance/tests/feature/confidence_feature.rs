use crate::layers_trial::{LayersTrial, assert_close, norm};
use crate::several_teachers::*;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_core::Targets;
use burn_distill_core::testing::{assert_round_trip, assert_shareable};
use burn_distill_feature::*;

fn loss(device: &Device) -> ConfidenceFeatureLoss {
    ConfidenceFeatureLossConfig::new().init(3, classifiers(), device)
}

// Expected values: crates/feature/scripts/several_teachers.py.
#[test]
fn value_and_gradient_are_those_of_the_formula() {
    let device = Device::default();
    let mut loss = loss(&device);
    set(&mut loss.projections);
    let loss = loss.fork(&device.autodiff());
    let device = Device::default();
    let targets = Targets::classes(Tensor::from_data([0, 2, 1, 1], &device));
    for (sizes, value, gradient) in [
        ([4, 4, 4], 0.225516585, 0.007997307),
        ([2, 4, 8], 0.220086118, 0.006839469),
    ] {
        let student = student().autodiff().require_grad();
        let found = loss.forward(student.clone(), teachers(sizes), &targets);
        let grads = found.clone().backward();

        assert_close("value", found.into_scalar(), value);
        assert_close("gradient", norm(student.grad(&grads).unwrap()), gradient);
    }
}

#[test]
fn a_teacher_that_is_right_counts_more() {
    let device = Device::default();
    let mut loss = loss(&device);
    set(&mut loss.projections);
    let value = |classes: [i64; 4]| -> f64 {
        let targets = Targets::classes(Tensor::from_data(classes, &device));
        let student = student();
        // The first teacher is the only one that is far away.
        let mut teachers: Vec<_> = loss
            .projections
            .iter()
            .map(|projection| projection.forward(student.clone()))
            .collect();
        teachers[0] = teachers[0].clone().add_scalar(1.0);
        loss.forward(student, teachers, &targets).into_scalar()
    };
    let weights = [[0; 4], [1; 4], [2; 4]].map(|classes| 3.0 * value(classes));
    // The weights are at most 1 / (M − 1), and a third on average over classes at most.
    assert!(
        weights.iter().all(|weight| (0.0..=0.5).contains(weight)),
        "{weights:?}"
    );
    let spread = weights
        .iter()
        .fold(0.0, |most: f64, weight| most.max(*weight))
        - weights
            .iter()
            .fold(1.0, |least: f64, weight| least.min(*weight));
    assert!(spread > 0.02, "{weights:?}");
}

#[test]
fn trial() {
    let device = Device::default().autodiff();
    LayersTrial::new(
        OfOneClass::new(loss(&device)),
        [[4, 3, 4, 4]],
        [[4, 5, 4, 4], [4, 4, 2, 3], [4, 6, 5, 6]],
    )
    .skip(
        "perfect student",
        "the student goes through convolutions that no map passes as it is",
    )
    .run();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ConfidenceFeatureLossConfig::new());
    assert_shareable::<ConfidenceFeatureLoss>();
    assert_shareable::<MapProjection>();
    assert_shareable::<TeacherMapsTerm<ConfidenceFeatureLoss>>();
}
