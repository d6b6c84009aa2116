//! Mutual learning in sequential order.

use crate::common::{
    Counted, RATE, TwoLogits, assert_close, at, batch, descent, labels_and_soft_targets, samples,
    softmax, step, terms,
};
use burn::module::Module;
use burn::tensor::Device;
use burn::train::TrainStep;
use burn_distill_core::{
    Buffer, Context, CrossEntropyObjective, Knowledge, Network, Objective, PerTeacher,
    Requirements, Terms, tensors,
};
use burn_distill_response::{ResponseObjective, SoftTargetLoss};
use burn_distill_strategy::{MutualDistiller, PeerOrder};

type Soft = (CrossEntropyObjective, ResponseObjective<SoftTargetLoss>);
type Deep<N> = MutualDistiller<N, PerTeacher<Soft>>;

fn deep<N: Network>(peers: Vec<N>, order: PeerOrder) -> Deep<N> {
    let others = peers.len() - 1;
    let objective = || PerTeacher::new((0..others).map(|_| labels_and_soft_targets()));
    let objectives = peers.iter().map(|_| objective()).collect();
    MutualDistiller::new(peers, objectives).with_order(order)
}

fn pairs(weights: &[[f64; 2]], device: &Device) -> Vec<TwoLogits> {
    weights.iter().map(|&w| TwoLogits::new(w, device)).collect()
}

const PEERS: [[f64; 2]; 3] = [[0.3, -0.2], [-1.0, 0.5], [0.1, 0.8]];

/// Computes the steps of all peers, one after the other, on one sample with input 1 and class 0.
fn expected(weights: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut weights = weights.to_vec();
    for peer in 0..weights.len() {
        let p = softmax(weights[peer]);
        let others: Vec<_> = (0..weights.len()).filter(|&other| other != peer).collect();
        let gradient = [0, 1].map(|class| {
            let label = if class == 0 { 1.0 } else { 0.0 };
            let apart = |&other: &usize| p[class] - softmax(weights[other])[class];
            p[class] - label + others.iter().map(apart).sum::<f64>() / others.len() as f64
        });
        weights[peer] = [0, 1].map(|class| weights[peer][class] - RATE * gradient[class]);
    }
    weights
}

#[test]
fn each_peer_learns_from_the_updated_peers_before_it() {
    let device = Device::default().autodiff();
    for count in [2, 3] {
        let model = deep(pairs(&PEERS[..count], &device), PeerOrder::Sequential);
        let stepped = step(model, &batch(&[1.0], &[0], at(1, 0), &device));
        for (peer, expected) in stepped.peers.iter().zip(expected(&PEERS[..count])) {
            assert_close(peer.weights(), expected);
        }
    }
}

#[test]
fn the_order_of_the_peers_matters() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0], &[0], at(1, 0), &device);
    let [a, b, _] = PEERS;
    let [there, back] = [[a, b], [b, a]]
        .map(|peers| step(deep(pairs(&peers, &device), PeerOrder::Sequential), &batch));

    let apart = there.peers[0].weights()[0] - back.peers[1].weights()[0];
    assert!(apart.abs() > 1e-3, "{apart}");
}

#[test]
fn the_shown_terms_are_those_before_the_first_step() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5], &[0, 1], at(1, 0), &device);
    let shown = |order| {
        let model = deep(pairs(&PEERS, &device), order);
        terms(&TrainStep::step(&model, batch.clone()).item.metrics)
    };

    let (turns, at_once) = (shown(PeerOrder::Sequential), shown(PeerOrder::Simultaneous));

    assert_eq!(turns.len(), 3 * 3 + 1);
    for ((name, turn), (_, at_once)) in turns.iter().zip(&at_once) {
        assert!((turn - at_once).abs() < 1e-6, "{name}");
    }
}

#[test]
fn a_batch_updates_running_statistics_once_and_costs_another_pass_of_each_peer_but_the_last() {
    let device = Device::default().autodiff();
    let peers = || -> Vec<_> {
        (0..3)
            .map(|seed| Counted::new(seed as f32, &device))
            .collect()
    };
    let batch = samples(at(1, 0), &device);

    let turns = step(deep(peers(), PeerOrder::Sequential), &batch);
    let at_once = step(deep(peers(), PeerOrder::Simultaneous), &batch);

    let asked: Vec<_> = turns.peers.iter().map(Counted::asked).collect();
    assert_eq!(asked, [(2, 0), (2, 0), (1, 0)]);
    let fresh = Counted::new(0.0, &device).statistics();
    for (turn, at_once) in turns.peers.iter().zip(&at_once.peers) {
        assert_eq!(turn.statistics(), at_once.statistics());
        assert_ne!(turn.statistics(), fresh);
    }
    assert_eq!(tensors(&turns.peers[0]), tensors(&at_once.peers[0]));
}

#[test]
fn the_second_step_equals_a_simultaneous_one_after_the_first_peer_has_stepped() {
    let device = Device::default().autodiff();
    let second = || Counted::new(1.0, &device);
    let batch = samples(at(1, 0), &device);
    let peers = vec![Counted::new(0.0, &device), second()];
    let turns = step(deep(peers, PeerOrder::Sequential), &batch);

    // The first peer predicts with the statistics of the batch, not with the running ones.
    let first = turns.peers[0].valid().train();
    let at_once = step(deep(vec![first, second()], PeerOrder::Simultaneous), &batch);

    let [turn, at_once] = [turns, at_once].map(|model| tensors(&model.peers[1].valid()));
    assert_eq!(turn, at_once);
}

#[test]
fn a_validation_stores_no_waiting_batch() {
    let device = Device::default().autodiff();
    let model = deep(pairs(&PEERS[..2], &device), PeerOrder::Sequential);
    let plain = device.clone().without_autodiff();
    let valid = model.valid();
    for _ in 0..2 {
        burn::train::InferenceStep::step(&valid, batch(&[1.0], &[0], at(1, 0), &plain));
    }

    let stepped = step(model, &batch(&[1.0], &[0], at(1, 0), &device));
    assert_close(stepped.peers[1].weights(), expected(&PEERS[..2])[1]);
}

#[test]
#[should_panic(expected = "Peers in sequential order need a step of the optimizer for each batch")]
fn gradient_accumulation_is_refused() {
    let device = Device::default().autodiff();
    let model = deep(pairs(&PEERS[..2], &device), PeerOrder::Sequential);
    let batch = batch(&[1.0], &[0], at(1, 0), &device);
    TrainStep::step(&model, batch.clone());
    TrainStep::step(&model, batch);
}

#[test]
#[should_panic(expected = "Peers in sequential order train on one device")]
fn several_devices_are_refused() {
    let device = Device::default().autodiff();
    let model = deep(pairs(&PEERS[..2], &device), PeerOrder::Sequential);
    model.optimize_multi(&mut descent(), RATE.into(), Default::default());
}

/// An objective that counts its batches, and requires no taps.
#[derive(Module, Debug)]
struct Counting {
    seen: Buffer<burn::tensor::Tensor<1>>,
}

impl Objective<Knowledge, Vec<Knowledge>> for Counting {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Terms {
        self.seen.set(self.seen.get().add_scalar(1.0));
        let logits = crate::common::logits(context.student);
        Terms::one("square", logits.square().sum(), 1.0)
    }
}

#[test]
fn an_objective_stores_a_batch_once() {
    let device = Device::default().autodiff();
    let objective = || Counting {
        seen: Buffer::new(burn::tensor::Tensor::zeros([1], &device)),
    };
    let objectives = vec![objective(), objective(), objective()];
    let model =
        MutualDistiller::new(pairs(&PEERS, &device), objectives).with_order(PeerOrder::Sequential);

    let stepped = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

    for objective in &stepped.objectives {
        assert_eq!(objective.seen.get().into_scalar::<f32>(), 1.0);
    }
}

#[test]
fn soft_targets_of_peers_are_the_divergence_of_the_paper() {
    // The 1e-8 that Deep-Mutual-Learning adds to probabilities makes it 0.116988897, which is below
    // the precision of the comparison.
    let device = Device::default();
    let student = burn::tensor::Tensor::<2>::from_data(
        [
            [2.0, 0.5, -1.0],
            [0.0, 1.0, 0.5],
            [1.0, -1.0, 0.3],
            [0.2, 0.1, 2.0],
        ],
        &device,
    );
    let peer = burn::tensor::Tensor::<2>::from_data(
        [
            [3.0, 0.0, -1.0],
            [0.5, 2.0, 0.0],
            [2.0, -2.0, 0.0],
            [0.0, 0.0, 3.0],
        ],
        &device,
    );
    let knowledge = |logits| Knowledge {
        response: burn_distill_core::Response::Classes(logits),
        taps: Default::default(),
    };
    let (student, peers) = (knowledge(student), vec![knowledge(peer)]);
    let targets = burn_distill_core::Targets::Unlabeled;
    let context = Context::new(&student, &peers, &targets, &[], at(1, 0));

    let terms = PerTeacher::new([labels_and_soft_targets()]).forward(&context);

    let soft = terms
        .iter()
        .find(|term| term.name == "soft-target")
        .unwrap();
    let value = soft.value.clone().into_scalar::<f64>();
    assert!((value - 0.116988909).abs() < 1e-6, "{value}");
}
