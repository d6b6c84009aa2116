use crate::common::scaled;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::numeric::{at_least_f32, l2_normalize};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).sqrt();
    rows.div(norm)
}

/// `RRD` of the authors' distillers, without embeddings and with a queue of unit rows.
#[test]
fn as_in_the_authors_code() {
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

#[test]
fn trial() {
    // With the queue of the reference, for embeddings of any size.
    let of_embedded = |student: Tensor<2>, teacher: Tensor<2>| {
        let (student, teacher) = (at_least_f32(student), at_least_f32(teacher));
        let [_, embedding] = student.dims();
        let options = (&Device::default(), student.dtype());
        let cosines: Vec<f64> = (0..6 * embedding).map(|n| (0.8 * n as f64).cos()).collect();
        let queue = Tensor::from_data(TensorData::new(cosines, [6, embedding]), options);
        let loss = RelationalRepresentationLossConfig::new()
            .with_embedding(embedding)
            .with_queue(6)
            .init([1, 1], &Device::default());
        loss.queue.set(unit(queue));
        loss.forward_embedded(l2_normalize(student, 1), l2_normalize(teacher, 1))
    };
    Trial::new("RelationalRepresentationLoss", [4, 3], of_embedded)
        .in_any_order()
        .invariant("the size of the features", scaled)
        .skip("golden values", "above")
        .skip(
            "perfect student",
            "the entropy of its teacher is left to it",
        )
        .skip("mismatches", "what is not embedded yet is compared")
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
        .run();
}

#[test]
fn configuration() {
    assert_round_trip(&RelationalRepresentationLossConfig::new());
    assert_shareable::<RelationalRepresentationLoss>();
}
