use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

#[test]
fn matches_rep_distiller() {
    let loss = AdjacentCorrelationLossConfig::new().init();
    Trial::new(format!("{loss}"), SHAPE, move |s, t| loss.forward(s, t))
        .golden(
            student(),
            // The first two features of the teacher.
            Box::new(|n| TEACHER.get(n / 2).map_or(0.0, |row| row[n % 2])),
            0.166666667,
            0.372677996,
        )
        .minimum(0.0)
        .invariant("additional features of both", |student, teacher| {
            (student.add_scalar(3.0), teacher.add_scalar(3.0))
        })
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
        .run();
}

#[test]
fn both_embeddings_train_and_the_teacher_does_not() {
    let device = Device::default().autodiff();
    let embeddings = EmbeddingsConfig::new(2, 3).with_features(5).init(&device);
    let loss = AdjacentCorrelationLossConfig::new()
        .init()
        .with_embeddings(embeddings);
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
#[should_panic(expected = "axis 1 expected 2, got 3")]
fn without_embeddings_the_numbers_of_features_must_match() {
    let device = Device::default();
    let loss = AdjacentCorrelationLossConfig::new().init();
    loss.forward(
        Tensor::from_data(STUDENT, &device),
        Tensor::from_data(TEACHER, &device),
    );
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&AdjacentCorrelationLossConfig::new());
    assert_shareable::<AdjacentCorrelationLoss>();
}
