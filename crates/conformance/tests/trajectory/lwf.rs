//! Learning without forgetting (LwF) of a second task, against FACIL.

use crate::networks::norm;
use crate::recording::{Recording, device};
use crate::replay::Replay;
use burn::module::Module;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use burn_distill::architecture::{GrowingNetwork, GrowingNetworkConfig};
use burn_distill::core::{
    Frozen, Network, NewClassCrossEntropy, OldClasses, Response, Tap, TapRecorder, batch_norm,
};
use burn_distill::response::{ResponseObjective, SoftCrossEntropyLossConfig};
use burn_distill::strategy::{OfflineDistiller, OptimizerConfig};

/// Network of 12 → 16 features, without a classifier.
#[derive(Module, Debug)]
struct Body {
    fc1: Linear,
    bn1: BatchNorm,
}

impl Network for Body {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let features = relu(batch_norm(&self.bn1, self.fc1.forward(input)));
        taps.offer("pool", || Tap::Vector(features.clone()));
        Response::Classes(features)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        // Weights are in double precision only once they are loaded.
        Tensor::zeros([samples, 12], (device, self.fc1.weight.val().dtype()))
    }
}

/// Returns a network with a head for each number of classes.
fn network(classes: &[usize]) -> GrowingNetwork<Body> {
    let body = Body {
        fc1: LinearConfig::new(12, 16).init(&device()),
        bn1: norm(16),
    };
    let network = GrowingNetworkConfig::new().init(body);
    let heads = classes.iter();
    heads.fold(network, |network, &classes| network.with_head(classes))
}

fn names(name: &str) -> String {
    name.replacen("body.", "model.", 1)
}

#[test]
fn a_second_task_is_learned_as_in_facil() {
    let recording = Recording::read("lwf");
    let student = recording.load_as(network(&[3, 2]), "init_network", names);
    let old = recording.load_as(network(&[3]), "init_old", names);
    let soft = SoftCrossEntropyLossConfig::new()
        .with_temperature(2.0)
        .with_scale_t2(false)
        .with_epsilon(1e-5)
        .init();
    let objective = (
        NewClassCrossEntropy::new(1.0, 3),
        OldClasses::new(ResponseObjective::new(soft, 1.0)),
    );

    let old_head = student.heads[0].weight.val().into_data();

    let replay = Replay {
        recording: &recording,
        optimizer: OptimizerConfig::Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            clip_norm: Some(10_000.0),
        },
        terms: &[],
    };
    let trained = replay.run(
        OfflineDistiller::new(student.with_frozen_old_heads(), Frozen::new(old), objective),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            snapshot.assert_same_as(&model.student, "network", names);
            snapshot.assert_same_as(model.teacher.inner(), "old", names);
        },
    );
    // Bit by bit: the old head is in no optimizer.
    let head = &trained.student.heads[0].weight;
    head.val().into_data().assert_eq(&old_head, true);
}
