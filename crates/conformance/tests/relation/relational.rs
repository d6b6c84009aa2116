use crate::common::*;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

fn distance() -> RelationalDistanceLoss {
    RelationalDistanceLossConfig::new().init()
}

fn angle() -> RelationalAngleLoss {
    RelationalAngleLossConfig::new().init()
}

fn relational(trial: Trial<2>) -> Trial<2> {
    trial
        .minimum(0.0)
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .invariant("the scale of the features", scaled)
        .invariant("a shift of the features", shifted)
}

#[test]
fn relational_distances() {
    let loss = distance();
    relational(trial(format!("{loss}"), move |s, t| loss.forward(s, t)))
        .golden(student(), teacher(), 0.087497395, 0.136739782)
        .run();
}

#[test]
fn relational_angles() {
    for chunk in [1, 3, 4, 100] {
        let loss = RelationalAngleLossConfig::new().with_chunk(chunk).init();
        relational(trial(format!("{loss}"), move |s, t| loss.forward(s, t)))
            .golden(student(), teacher(), 0.108723311, 0.158234815)
            .run();
    }
}

#[test]
fn the_sum_with_the_weights_of_the_authors() {
    let (distance, angle) = (distance(), angle());
    let both = move |student: Tensor<2>, teacher: Tensor<2>| {
        let distances = distance.forward(student.clone(), teacher.clone());
        let angles = angle.forward(student, teacher);
        distances.mul_scalar(25.0).add(angles.mul_scalar(50.0))
    };
    relational(trial("25 distances and 50 angles".into(), both))
        .golden(student(), teacher(), 7.623600412, 11.251719558)
        .run();
}

#[test]
fn chunks_change_nothing() {
    let (student, teacher) = (features(13, 7, 0.7), features(13, 5, 1.9));
    let chunked = RelationalAngleLossConfig::new().with_chunk(5).init();
    assert_same(
        student,
        |student| chunked.forward(student, teacher.clone()),
        |student| angle().forward(student, teacher.clone()),
        1e-5,
    );
}

#[test]
fn equal_samples_have_almost_no_distance() {
    let (student, teacher) = (features(5, 64, 0.7), features(10, 6, 1.9));
    // Features so large that the rounding of products is not small.
    let student = Tensor::cat(vec![student.clone(), student], 0).mul_scalar(1e3);

    let loss = distance();
    let (value, gradient) = value_and_gradient(
        |student| loss.forward(student, teacher.clone()),
        student.clone(),
    );

    // Expected: without the second half of the equal samples, each of which counts as the first
    // half does.
    let half = student.narrow(0, 0, 5);
    let distances = |features: Tensor<2>| {
        let squared: Tensor<3> = features
            .clone()
            .unsqueeze_dim::<3>(0)
            .sub(features.unsqueeze_dim(1))
            .square();
        squared.sum_dim(2).squeeze_dim::<2>(2).sqrt()
    };
    let student = distances(half).repeat(&[2, 2]);
    let teacher = distances(teacher);
    let relative = |distances: Tensor<2>| {
        let mean = distances.clone().sum().div_scalar(90.0);
        distances.div(mean.unsqueeze())
    };
    let difference = relative(student).sub(relative(teacher)).abs();
    let inner = difference.clone().clamp_max(1.0);
    let expected = inner
        .clone()
        .mul(difference.sub(inner.mul_scalar(0.5)))
        .mean();
    let expected = expected.into_scalar::<f64>();
    assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
    assert!(!gradient.contains_nan().into_scalar::<bool>());
}

#[test]
fn a_student_with_equal_features_has_no_gradient() {
    let teacher = features(4, 3, 1.9);
    let student = Tensor::ones([4, 2], &Device::default());

    let (value, gradient) = value_and_gradient(
        |student| distance().forward(student, teacher.clone()),
        student,
    );

    // All different samples are then equally far apart, as in the code of the authors.
    let equally = Tensor::<2>::eye(4, &Device::default());
    let expected = distance()
        .forward(equally, teacher.clone())
        .into_scalar::<f64>();
    assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    gradient
        .into_data()
        .assert_eq(&TensorData::zeros::<f32, _>([4, 2]), true);
}

#[test]
#[should_panic(expected = "`chunk` should be at least 1, but is 0")]
fn a_chunk_must_have_an_anchor() {
    RelationalAngleLossConfig::new().with_chunk(0).init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&RelationalDistanceLossConfig::new());
    assert_round_trip(&RelationalAngleLossConfig::new().with_chunk(8));
    assert_shareable::<RelationalDistanceLoss>();
    assert_shareable::<RelationalAngleLoss>();
}
