//! Mutual learning, step by step.

mod common;

use burn::tensor::{Bool, Device, Tensor};
use burn::train::TrainStep;
use burn_distill_core::{
    Batch, Context, DynNetwork, DynObjective, Knowledge, NoAdapter, Objective, PerTeacher,
    Requirements, TapObjective, Terms, tensors,
};
use burn_distill_strategy::{Distillation, MutualDistiller};
use common::{
    RATE, TwoLogits, assert_close, at, batch, labels_and_soft_targets, softmax, step, terms,
};

const PEERS: [[f64; 2]; 3] = [[0.3, -0.2], [-1.0, 0.5], [0.1, 0.8]];

type Deep = MutualDistiller<
    TwoLogits,
    PerTeacher<(
        burn_distill_core::CrossEntropyObjective,
        burn_distill_response::ResponseObjective<burn_distill_response::SoftTargetLoss>,
    )>,
>;

fn deep(weights: &[[f64; 2]], device: &Device) -> Deep {
    let peers: Vec<_> = weights.iter().map(|&w| TwoLogits::new(w, device)).collect();
    let others = weights.len() - 1;
    let objective = || PerTeacher::new((0..others).map(|_| labels_and_soft_targets()));
    MutualDistiller::new(peers, weights.iter().map(|_| objective()).collect())
}

/// Returns the weights of a peer after a step on one sample with input 1 and class 0, with the
/// gradient `(p − y) + mean over the others of (p − q)`.
fn expected(weights: &[[f64; 2]], peer: usize) -> [f64; 2] {
    let p = softmax(weights[peer]);
    let y = [1.0, 0.0];
    let others: Vec<_> = (0..weights.len()).filter(|&other| other != peer).collect();
    [0, 1].map(|class| {
        let apart: f64 = others
            .iter()
            .map(|&o| p[class] - softmax(weights[o])[class])
            .sum();
        let gradient = p[class] - y[class] + apart / others.len() as f64;
        weights[peer][class] - RATE * gradient
    })
}

#[test]
fn a_step_agrees_with_one_computed_by_hand() {
    let device = Device::default().autodiff();
    for count in [2, 3] {
        let weights = &PEERS[..count];
        let stepped = step(
            deep(weights, &device),
            &batch(&[1.0], &[0], at(1, 0), &device),
        );
        for (index, peer) in stepped.peers.iter().enumerate() {
            assert_close(peer.weights(), expected(weights, index));
        }
    }
}

#[test]
fn the_order_of_the_peers_does_not_matter() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5], &[0, 1], at(1, 0), &device);

    let [a, b, c] = PEERS;
    let there = step(deep(&[a, b, c], &device), &batch);
    let back = step(deep(&[c, b, a], &device), &batch);

    for (one, other) in there.peers.iter().zip(back.peers.iter().rev()) {
        assert_close(one.weights(), other.weights());
    }
}

#[test]
fn peers_see_the_views_in_turn() {
    let device = Device::default().autodiff();
    let [first, second] = [1.0, 0.25].map(|input| batch(&[input], &[0], at(1, 0), &device));
    let both = Batch {
        views: vec![first.view().clone(), second.view().clone()],
        ..first.clone()
    };

    let model = deep(&PEERS, &device);
    let output = model.forward(&both);
    let alone = |peer: usize, batch: &Batch<Tensor<2>>| {
        let knowledge =
            burn_distill_core::Network::forward(&model.peers[peer], batch.view().clone());
        softmax_of(knowledge.classes().unwrap())[0]
    };

    let terms = terms(&output.metrics);
    for (peer, view) in [(0, &first), (1, &second), (2, &first)] {
        let hard = terms[&format!("peer {} cross-entropy", peer + 1)];
        assert!((hard + alone(peer, view).ln()).abs() < 1e-5);
    }
}

fn softmax_of(logits: &Tensor<2>) -> [f64; 2] {
    let values: Vec<f64> = logits.clone().into_data().iter().collect();
    softmax([values[0], values[1]])
}

#[test]
fn the_accuracy_of_each_peer_and_of_the_ensemble_is_shown() {
    let device = Device::default().autodiff();
    let model = deep(&[[1.0, 0.0], [-0.1, 0.1]], &device);

    let output = model.forward(&batch(&[1.0, -2.0], &[0, 1], at(1, 0), &device));

    let terms = terms(&output.metrics);
    // The first peer is correct on the first sample only, the second on the second only. Their mean
    // agrees with the first on both samples, since it is more confident.
    assert_eq!(terms["peer 1 accuracy"], 50.0);
    assert_eq!(terms["peer 2 accuracy"], 50.0);
    assert_eq!(terms["ensemble accuracy"], 50.0);
    let names: Vec<_> = terms.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ensemble accuracy",
            "peer 1 accuracy",
            "peer 1 cross-entropy",
            "peer 1 soft-target",
            "peer 2 accuracy",
            "peer 2 cross-entropy",
            "peer 2 soft-target"
        ]
    );
}

/// A loss of the squared difference of two taps.
#[derive(burn::module::Module, Debug)]
struct Closer {}

impl burn_distill_core::NamedLoss for Closer {
    fn name(&self) -> &'static str {
        "closer"
    }
}

impl burn_distill_core::TapLoss for Closer {
    fn forward_taps(
        &self,
        student: burn_distill_core::Tap,
        teacher: burn_distill_core::Tap,
        _: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        student
            .into_vectors()
            .sub(teacher.into_vectors())
            .square()
            .sum()
    }
}

/// A copy of the network whose tap has another name.
#[derive(burn::module::Module, Debug)]
struct Other {
    inner: TwoLogits,
}

impl burn_distill_core::Network for Other {
    type Input = Tensor<2>;

    fn forward_tapped(
        &self,
        input: Tensor<2>,
        taps: &mut burn_distill_core::TapRecorder,
    ) -> burn_distill_core::Response {
        let response = self.inner.forward(input);
        taps.offer("scores", || {
            burn_distill_core::Tap::Vector(response.classes().unwrap().clone())
        });
        response
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        self.inner.example(samples, device)
    }
}

#[test]
fn peers_with_different_taps_compare_them() {
    use burn_distill_core::Network;
    let device = Device::default().autodiff();
    let peers = vec![
        DynNetwork::new(TwoLogits::new([1.0, 0.0], &device)),
        DynNetwork::new(Other {
            inner: TwoLogits::new([0.0, 2.0], &device),
        }),
    ];
    let closer = |student: &str, teacher: &str| -> DynObjective<Knowledge, Vec<Knowledge>> {
        let pair = burn_distill_core::TapPair::new(student, teacher, Closer {});
        let objective: TapObjective<Closer, NoAdapter> = TapObjective::new([pair], 0.25);
        DynObjective::new(PerTeacher::new([objective]))
    };
    let objectives = vec![closer("logits", "scores"), closer("scores", "logits")];

    let model = MutualDistiller::new(peers, objectives);
    let stepped = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

    // Each moves by 0.5 · 0.25 · 2 · (teacher − student) towards the other before the step.
    let example = Tensor::ones([1, 1], &device);
    let logits = |peer: &DynNetwork<Tensor<2>>| -> [f64; 2] {
        let response = peer.forward(example.clone());
        let values: Vec<f64> = response
            .classes()
            .unwrap()
            .clone()
            .into_data()
            .iter()
            .collect();
        [values[0], values[1]]
    };
    assert_close(logits(&stepped.peers[0]), [0.75, 0.5]);
    assert_close(logits(&stepped.peers[1]), [0.25, 1.5]);
}

/// An objective that moves a peer or not.
#[derive(burn::module::Module, Debug)]
struct Still {
    moves: bool,
}

impl Objective<Knowledge, Vec<Knowledge>> for Still {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Terms {
        let logits = common::logits(context.student);
        let others = common::logits(&context.teacher[0]);
        let weight = if self.moves { 1.0 } else { 0.0 };
        Terms::one("push", logits.mul(others).sum(), weight)
    }
}

#[test]
fn the_loss_of_a_peer_has_no_gradient_for_another_peer() {
    let device = Device::default().autodiff();
    let peers = PEERS[..2]
        .iter()
        .map(|&w| TwoLogits::new(w, &device))
        .collect();
    let model = MutualDistiller::new(peers, vec![Still { moves: true }, Still { moves: false }]);
    let before = tensors(&model.peers[1]);

    let stepped = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

    assert_eq!(tensors(&stepped.peers[1]), before);
    let [a, b] = PEERS[0];
    assert_close(
        stepped.peers[0].weights(),
        [a - RATE * PEERS[1][0], b - RATE * PEERS[1][1]],
    );
}

#[test]
#[should_panic(
    expected = "Peers 1 and 3 have the same parameters, so they would learn nothing from each other: \
                initialize them from different seeds."
)]
fn identical_peers_are_refused() {
    deep(&[PEERS[0], PEERS[1], PEERS[0]], &Device::default());
}

#[test]
#[should_panic(expected = "Mutual learning needs at least two peers, but there are 1.")]
fn a_single_peer_is_refused() {
    let _ = TrainStep::step(
        &MutualDistiller::new(
            vec![TwoLogits::new(PEERS[0], &Device::default())],
            vec![Still { moves: true }],
        ),
        batch(&[1.0], &[0], at(1, 0), &Device::default()),
    );
}
