use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::testing::{assert_round_trip, assert_shareable};
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
fn configuration() {
    assert_round_trip(&RelationalRepresentationLossConfig::new());
    assert_shareable::<RelationalRepresentationLoss>();
}
