use crate::common::{embedding, embedding_weights, precision, reordered};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_relation::*;

fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).sqrt();
    rows.div(norm)
}

/// `RRD` of the authors' distillers, without embeddings and with a queue of unit rows.
#[test]
fn matches_the_code_of_the_authors() {
    let device = Device::default();
    let loss = RelationalRepresentationLossConfig::new()
        .with_embedding(2)
        .with_queue(4)
        .init([2, 2], &device);
    let cosines: Vec<f32> = (0..8).map(|n| (0.8 * n as f64).cos() as f32).collect();
    let queue = Tensor::<2>::from_data(TensorData::new(cosines, [4, 2]), &device);
    loss.queue.set(unit(queue));
    let embedded = |rows: [[f32; 2]; 2]| unit(Tensor::<2>::from_data(rows, &device));
    let student = embedded([[1.0, 0.3], [-0.4, 1.0]]);

    for (teacher, expected) in [
        ([[0.5, 1.0], [-1.0, 0.2]], 1.835433374),
        ([[0.5, -1.0], [1.0, 0.2]], 8.509510457),
    ] {
        let value = loss.forward_embedded(student.clone(), embedded(teacher));
        let value = value.into_scalar::<f64>();
        assert!((value - expected).abs() < 1e-4, "{value} is not {expected}");
    }
}

/// Creates a loss before its first batch, for features of these sizes.
fn fresh(student: &Tensor<2>, teacher: &Tensor<2>) -> RelationalRepresentationLoss {
    let ([_, student_features], [_, teacher_features]) = (student.dims(), teacher.dims());
    let device = student.device();
    let options = (&device, precision(student));
    let mut loss = RelationalRepresentationLossConfig::new()
        .with_embedding(4)
        .with_queue(6)
        .init([student_features, teacher_features], &device);
    loss.student_embedding = embedding([student_features, 4], [1.3, 0.2, 0.1], options);
    let (weight, bias) = embedding_weights([teacher_features, 4], [0.9, 0.5, 0.1], options);
    loss.teacher_weight.set(weight);
    loss.teacher_bias.set(bias.unsqueeze());
    let queue: Vec<_> = (0..24).map(wave(1.0, 0.8, 0.6)).collect();
    let queue = Tensor::<2>::from_data(TensorData::new(queue, [6, 4]), options);
    loss.queue.set(unit(queue));
    loss
}

// From crates/relation/scripts/memory.py.
#[test]
fn batches_are_compared_with_the_queue() {
    Trial::new(
        "RelationalRepresentationLoss",
        [4, 3],
        |student, teacher| fresh(&student, &teacher).forward(student, teacher),
    )
    .teacher_shape([4, 5])
    .golden(
        wave(1.0, 0.7, 0.3),
        wave(1.0, 0.4, 0.3),
        10.006175786,
        1.747589411,
    )
    .invariant("the order of the batch", reordered)
    .skip(
        "perfect student",
        "its minimum is the entropy of the teacher's similarities: see the next test",
    )
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
    .run();
}

#[test]
fn the_minimum_is_the_entropy_of_the_teachers_similarities() {
    let device = Device::default();
    let rows = |phase: f64| {
        let values: Vec<_> = (0..8).map(wave(1.0, 0.9, phase)).collect();
        unit(Tensor::<2>::from_data(
            TensorData::new(values, [4, 2]),
            &device,
        ))
    };
    let value = |student: Tensor<2>, teacher: Tensor<2>| {
        let loss = RelationalRepresentationLossConfig::new()
            .with_embedding(2)
            .with_queue(6)
            .with_teacher_temperature(0.1)
            .init([2, 2], &device);
        loss.queue
            .set(Tensor::cat(vec![rows(0.7), rows(2.0)], 0).slice([0..6, 0..2]));
        loss.forward_embedded(student, teacher).into_scalar::<f64>()
    };
    let perfect = value(rows(0.3), rows(0.3));

    assert!(perfect > 0.0, "{perfect}");
    assert!(value(rows(0.4), rows(0.3)) > perfect);
    assert!(value(rows(0.2), rows(0.3)) > perfect);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&RelationalRepresentationLossConfig::new());
    assert_shareable::<RelationalRepresentationLoss>();
}
