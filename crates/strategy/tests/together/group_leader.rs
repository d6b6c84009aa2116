//! Online knowledge distillation with diverse peers and a leader.

use crate::common::{
    Counted, RATE, TwoLogits, at, batch, cross_entropy, labeled, samples, slope, softmax, step,
    terms, values,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{
    CrossEntropyObjective, Knowledge, Network, Requirements, initialize, tensors,
};
use burn_distill_strategy::{
    Distillation, EnsembleKl, GroupLeaderDistiller, GroupLeaderDistillerConfig, StepMetrics,
};

type Group<N> = GroupLeaderDistiller<N, (CrossEntropyObjective, EnsembleKl)>;

const TEMPERATURE: f64 = 3.0;
const TOWARDS: f64 = 0.7;

fn objective() -> (CrossEntropyObjective, EnsembleKl) {
    (
        CrossEntropyObjective::new(1.0),
        EnsembleKl::new(TEMPERATURE, TOWARDS),
    )
}

fn group<N: Network>(peers: Vec<N>, leader: N, config: GroupLeaderDistillerConfig) -> Group<N> {
    let objectives = peers.iter().map(|_| objective()).collect();
    config.init((peers, objectives), (leader, objective()))
}

const PEERS: [[f64; 2]; 2] = [[0.3, -0.2], [-1.0, 0.5]];
const LEADER: [f64; 2] = [0.4, 0.9];
const QUERY: [f64; 2] = [0.8, -0.3];
const KEY: [f64; 2] = [0.5, 0.6];

/// Returns two peers with attention from their logits, and a leader.
fn pairs(reference_gradients: bool, device: &Device) -> Group<TwoLogits> {
    let peers = PEERS.iter().map(|&w| TwoLogits::new(w, device)).collect();
    let config = GroupLeaderDistillerConfig::new()
        .with_tap("logits".into())
        .with_reference_gradients(reference_gradients);
    let mut group = group(peers, TwoLogits::new(LEADER, device), config);
    for (layer, weight) in [
        (&mut group.attention.query, QUERY),
        (&mut group.attention.key, KEY),
    ] {
        assert_eq!(layer.weight.dims(), [2, 1]);
        assert!(layer.bias.is_none());
        let weight = Tensor::<1>::from_data(weight, device).reshape([2, 1]);
        layer.weight = burn::module::Param::from_tensor(weight);
    }
    group
}

/// Returns the parameters of peers, leader, query and key in one array.
fn parameters(group: &Group<TwoLogits>) -> [f64; 10] {
    let mut all = Vec::new();
    for pair in group.peers.iter().chain([&group.leader]) {
        all.extend(pair.weights());
    }
    all.extend(values(group.attention.query.weight.val()));
    all.extend(values(group.attention.key.weight.val()));
    all.try_into().unwrap()
}

/// Computes the scaled divergence of one row.
fn towards(student: [f64; 2], ensemble: [f64; 2]) -> f64 {
    let [q, p] = [ensemble, student].map(|z| softmax(z.map(|z| z / TEMPERATURE)));
    let q = q.map(|q| q + 1e-7);
    let row: f64 = q.iter().zip(p).map(|(q, p)| q * (q.ln() - p.ln())).sum();
    TEMPERATURE.powi(2) * row
}

/// Computes the loss of one sample with input 1 and class 0, with constant logits of the peers as
/// targets.
fn loss(parameters: [f64; 10], constants: Option<[[f64; 2]; 2]>) -> f64 {
    let row = |i: usize| [parameters[2 * i], parameters[2 * i + 1]];
    let (peers, leader, query, key) = ([row(0), row(1)], row(2), row(3), row(4));
    let constants = constants.unwrap_or(peers);
    let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
    let mut sum = cross_entropy(leader, [1.0, 0.0]);
    let mean = [0, 1].map(|class| (constants[0][class] + constants[1][class]) / 2.0);
    sum += TOWARDS * towards(leader, mean);
    for peer in peers {
        let weights = softmax(peers.map(|other| dot(query, peer) * dot(key, other)));
        let target =
            [0, 1].map(|class| weights[0] * constants[0][class] + weights[1] * constants[1][class]);
        sum += cross_entropy(peer, [1.0, 0.0]) + TOWARDS * towards(peer, target);
    }
    sum
}

#[test]
fn a_step_agrees_with_one_computed_by_hand() {
    let device = Device::default().autodiff();
    for reference_gradients in [false, true] {
        let before = pairs(reference_gradients, &device);
        let at_start = parameters(&before);
        let constants = (!reference_gradients).then_some(PEERS);
        let gradient = slope(|parameters| loss(parameters, constants), at_start);

        let batch = batch(&[1.0], &[0], at(1, 0), &device);
        let value = before.forward(&batch).loss.into_scalar::<f64>();
        assert!((value - loss(at_start, constants)).abs() < 1e-5);
        let after = parameters(&step(before, &batch));

        for i in 0..10 {
            let expected = at_start[i] - RATE * gradient[i];
            let actual = after[i];
            assert!((actual - expected).abs() < 2e-5, "{i}: {actual} {expected}");
            // The attention learns.
            assert!(gradient[i].abs() > 1e-4, "{i}");
        }
    }
}

#[test]
fn with_reference_gradients_the_loss_of_a_peer_has_gradients_for_the_others() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0], &[0], at(1, 0), &device);
    let [constant, reference_gradients] = [false, true]
        .map(|reference_gradients| parameters(&step(pairs(reference_gradients, &device), &batch)));
    // The gradients of leader and attention do not change.
    for i in 0..10 {
        assert_eq!(
            (constant[i] - reference_gradients[i]).abs() > 1e-4,
            i < 4,
            "{i}"
        );
    }
}

fn counted(device: &Device) -> Group<Counted> {
    let network = |seed: f32| Counted::new(seed, device);
    let peers = vec![network(0.0), network(1.0), network(2.0)];
    group(peers, network(3.0), GroupLeaderDistillerConfig::new())
}

#[test]
fn every_network_computes_once_in_training_mode_and_learns() {
    let device = Device::default().autodiff();
    let model = counted(&device);
    let all = |model: &Group<Counted>| -> Vec<_> {
        let networks = model.peers.iter().chain([&model.leader]);
        networks.map(Counted::asked).collect()
    };
    all(&model);
    let before = tensors(&model);

    let stepped = step(model, &samples(at(1, 0), &device));

    assert_eq!(all(&stepped), [(1, 0); 4]);
    let stepped = stepped.valid();
    for ((name, after), (_, before)) in tensors(&stepped).iter().zip(&before) {
        assert_ne!(after, before, "{name}");
    }
}

#[test]
fn the_terms_and_accuracy_of_every_network_are_shown() {
    let device = Device::default().autodiff();
    let output = counted(&device).forward(&samples(at(1, 0), &device));

    let values = &StepMetrics::read(std::slice::from_ref(&output.metrics)).unwrap()[0];
    let terms = terms(&output.metrics);
    let names: Vec<_> = terms.keys().map(String::as_str).collect();
    let mut expected = vec!["ensemble accuracy".to_string()];
    for network in ["leader", "peer 1", "peer 2", "peer 3"] {
        for term in ["accuracy", "cross-entropy", "ensemble"] {
            expected.push(format!("{network} {term}"));
        }
    }
    assert_eq!(names, expected);
    // The leader is deployed; its teacher is the mean.
    assert_eq!(
        values.correct as f64 / 4.0 * 100.0,
        terms["leader accuracy"]
    );
    let teacher_accuracy = values.teacher_correct as f64 / 4.0 * 100.0;
    assert_eq!(teacher_accuracy, terms["ensemble accuracy"]);
}

#[test]
fn the_attention_weights_of_each_sample_are_a_distribution() {
    let device = Device::default();
    let attention = initialize(burn_distill_strategy::PeerAttention::new(16, &device));
    assert_eq!(attention.query.weight.dims(), [16, 2]);
    let features = Tensor::<1, burn::tensor::Int>::arange(0..96, &device)
        .float()
        .sin()
        .reshape([2, 3, 16]);

    let weights = attention.forward(features.clone());

    assert_eq!(weights.dims(), [2, 3, 3]);
    for sum in values(weights.clone().sum_dim(2)) {
        assert!((sum - 1.0).abs() < 1e-5);
    }
    let second = attention.forward(features.narrow(0, 1, 1));
    let difference = weights.narrow(0, 1, 1).sub(second).abs().max();
    assert!(difference.into_scalar::<f32>() < 1e-6);
}

#[test]
fn a_checkpoint_holds_all_networks_and_the_attention() {
    let device = Device::default().autodiff();
    let one = labeled(samples(at(1, 0), &device), 2);
    // Running statistics are complete in a copy for validation, as before every checkpoint.
    let model = step(counted(&device), &one).valid().train();
    let restored = counted(&device).load_record(model.clone().into_record());
    assert_eq!(tensors(&restored), tensors(&model));
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &one).valid()));
    assert_eq!(a, b);
}

#[test]
fn a_batch_of_one_unlabeled_sample_trains() {
    let device = Device::default().autodiff();
    let one = labeled(batch(&[1.0], &[0], at(1, 0), &device), 0);
    for reference_gradients in [false, true] {
        let stepped = step(pairs(reference_gradients, &device), &one);
        assert!(parameters(&stepped).iter().all(|value| value.is_finite()));
    }
}

#[test]
#[should_panic(
    expected = "Peers 1 and 3 have the same parameters, so they would learn nothing from each other: \
                initialize them from different seeds."
)]
fn a_leader_that_is_a_peer_is_refused() {
    let device = Device::default();
    let network = |seed: f32| Counted::new(seed, &device);
    let peers = vec![network(0.0), network(1.0)];
    group(peers, network(0.0), GroupLeaderDistillerConfig::new());
}

/// An objective that requires a tap of the group.
#[derive(Module, Debug)]
struct Tapped {}

impl burn_distill_core::Objective for Tapped {
    fn requirements(&self) -> Requirements {
        Requirements {
            teacher: burn_distill_core::TapSelection::named(["pool"]),
            ..Requirements::default()
        }
    }

    fn forward(
        &self,
        _: &burn_distill_core::Context<'_, Knowledge, Knowledge>,
    ) -> burn_distill_core::Terms {
        unreachable!()
    }
}

#[test]
#[should_panic(expected = "A group has no taps")]
fn taps_of_the_group_are_refused() {
    let device = Device::default();
    let network = |seed: f32| Counted::new(seed, &device);
    GroupLeaderDistillerConfig::new().init(
        (vec![network(0.0), network(1.0)], vec![Tapped {}, Tapped {}]),
        (network(2.0), Tapped {}),
    );
}
