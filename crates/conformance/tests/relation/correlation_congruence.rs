use crate::common::*;
use burn::module::Param;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

fn config() -> CorrelationCongruenceLossConfig {
    CorrelationCongruenceLossConfig::new()
}

fn congruent(config: CorrelationCongruenceLossConfig) -> Trial<2> {
    let normalize = config.normalize;
    let loss = config.init();
    let trial = trial(format!("{loss}"), move |s, t| loss.forward(s, t))
        .minimum(0.0)
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated);
    match normalize {
        true => trial.invariant("the scale of each sample", scaled_each),
        false => trial,
    }
}

#[test]
fn matches_knowledge_distillation_zoo() {
    congruent(config())
        .golden(student(), teacher(), 0.027143713, 0.048010625)
        .run();
}

#[test]
fn other_kernels_match_their_formulas() {
    // In double precision from the formulas, with powers, by a complex step.
    for (config, value, norm) in [
        (
            config().with_kernel(CorrelationKernel::Bilinear),
            0.116985714,
            0.254064457,
        ),
        (
            config().with_kernel(CorrelationKernel::ExactGaussian),
            0.030939306,
            0.0536304704,
        ),
        (config().with_order(1), 0.0151161653, 0.0328286267),
        (config().with_order(3), 0.0302981633, 0.0526013976),
    ] {
        congruent(config)
            .golden(student(), teacher(), value, norm)
            .run();
    }
}

#[test]
fn unnormalized_features_match_the_formulas() {
    let plain = || config().with_normalize(false);
    // In double precision from the formulas, as in torchdistill.
    for (config, value, norm) in [
        (
            plain().with_distance(CorrelationDistance::Norm),
            1.19154714,
            0.234959733,
        ),
        (
            plain()
                .with_distance(CorrelationDistance::Norm)
                .with_kernel(CorrelationKernel::Bilinear),
            0.698945914,
            0.25473787,
        ),
    ] {
        congruent(config)
            .golden(student(), teacher(), value, norm)
            .half_tolerance(0.1)
            .run();
    }
    congruent(plain().with_kernel(CorrelationKernel::ExactGaussian))
        .golden(student(), teacher(), 0.144938549, 0.218903599)
        .invariant("a shift of the features", shifted)
        .run();
}

#[test]
fn a_long_series_approaches_the_gaussian() {
    let (student, teacher) = (features(7, 5, 0.7), features(7, 3, 1.9));
    let series = config().with_order(12).init();
    let exact = config()
        .with_kernel(CorrelationKernel::ExactGaussian)
        .init();
    assert_same(
        student,
        |student| series.forward(student, teacher.clone()),
        |student| exact.forward(student, teacher.clone()),
        1e-4,
    );
}

#[test]
fn both_embeddings_train_and_the_teacher_does_not() {
    let device = Device::default().autodiff();
    let embeddings = EmbeddingsConfig::new(2, 3).with_features(5).init(&device);
    let loss = config().init().with_embeddings(embeddings);
    let student = Tensor::<2>::from_data(STUDENT, &device).require_grad();
    let teacher = Tensor::<2>::from_data(TEACHER, &device).require_grad();

    let grads = loss.forward(student.clone(), teacher.clone()).backward();

    let embeddings = loss.embeddings.unwrap();
    for linear in [embeddings.student, embeddings.teacher] {
        let gradient = linear
            .weight
            .grad(&grads)
            .expect("the embedding has a gradient");
        assert!(gradient.abs().sum().into_scalar::<f32>() > 0.0);
    }
    assert!(student.grad(&grads).is_some());
    assert!(teacher.grad(&grads).is_none());
}

#[test]
fn identity_embeddings_change_nothing() {
    let device = Device::default();
    let mut embeddings = EmbeddingsConfig::new(2, 3).with_features(3).init(&device);
    for (linear, size) in [(&mut embeddings.student, 2), (&mut embeddings.teacher, 3)] {
        let weight = Tensor::<2>::eye(3, &device).narrow(0, 0, size);
        linear.weight = Param::from_tensor(weight);
        linear.bias = None;
    }
    let teacher = Tensor::<2>::from_data(TEACHER, &device);
    let embedded = config().init().with_embeddings(embeddings);
    assert_same(
        Tensor::from_data(STUDENT, &device),
        |student| embedded.forward(student, teacher.clone()),
        |student| config().init().forward(student, teacher.clone()),
        1e-6,
    );
}

#[test]
#[should_panic(expected = "`order` should be from 1 to 64, but is 0")]
fn the_order_of_a_series_must_not_be_zero() {
    config().with_order(0).init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&config());
    assert_round_trip(&EmbeddingsConfig::new(64, 256));
    assert_shareable::<CorrelationCongruenceLoss>();
}
