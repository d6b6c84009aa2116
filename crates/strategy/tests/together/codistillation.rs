//! Codistillation: peers that learn from older copies of the others.

use crate::common::{
    Counted, RATE, TwoLogits, assert_close, batch, labeled, samples, softmax, step, terms,
};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill_core::{Batch, Clock, CrossEntropyObjective, Network, tensors};
use burn_distill_response::{ResponseObjective, SoftCrossEntropyLoss, SoftCrossEntropyLossConfig};
use burn_distill_strategy::{Codistiller, Distillation, EnsembleObjective, EnsembleTarget};

type Soft = EnsembleObjective<ResponseObjective<SoftCrossEntropyLoss>>;
type Stale<N> = Codistiller<N, CrossEntropyObjective, Soft>;

/// Returns soft cross-entropy at temperature 1 with the mean of the predictions of the others.
fn stale<N: Network>(peers: Vec<N>, burn_in: usize, period: usize, device: &Device) -> Stale<N> {
    let soft = || {
        let config = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
        let soft = ResponseObjective::new(config.init(), 1.0);
        EnsembleObjective::new(EnsembleTarget::Others, peers.len(), soft, device)
    };
    let alone = peers
        .iter()
        .map(|_| CrossEntropyObjective::new(1.0))
        .collect();
    let together = peers.iter().map(|_| soft()).collect();
    Codistiller::new(peers, alone, together).with_schedule(burn_in, period)
}

/// Returns the clock of a step, in epochs of three steps.
fn at(step: usize) -> Clock {
    Clock {
        epoch: 1 + step / 3,
        batch: step % 3,
        batches: 3,
    }
}

const PEERS: [[f64; 2]; 3] = [[0.3, -0.2], [-1.0, 0.5], [0.1, 0.8]];

#[test]
fn steps_agree_with_those_computed_by_hand() {
    let device = Device::default().autodiff();
    for (burn_in, period) in [(2, 2), (0, 3), (4, 1), (1, 2)] {
        let peers = PEERS.iter().map(|&w| TwoLogits::new(w, &device)).collect();
        let mut model = stale(peers, burn_in, period, &device);
        let (mut now, mut copies) = (PEERS, PEERS);
        for index in 0..7 {
            model = step(model, &batch(&[1.0], &[0], at(index), &device));

            let before = now;
            for (peer, weights) in now.iter_mut().enumerate() {
                let p = softmax(before[peer]);
                let others: Vec<_> = (0..3).filter(|&other| other != peer).collect();
                *weights = [0, 1].map(|class| {
                    let label = if class == 0 { 1.0 } else { 0.0 };
                    let predicted = |&other: &usize| softmax(copies[other])[class];
                    let predicted = others.iter().map(predicted).sum::<f64>() / 2.0;
                    let together = if index < burn_in {
                        0.0
                    } else {
                        p[class] - predicted
                    };
                    before[peer][class] - RATE * (p[class] - label + together)
                });
            }
            let done = index + 1;
            if done >= burn_in && (done - burn_in) % period == 0 {
                copies = now;
            }
            for (peer, expected) in model.peers.iter().zip(now) {
                assert_close(peer.weights(), expected);
            }
            for (copy, expected) in model.copies.iter().zip(copies) {
                assert_close(copy.inner().weights(), expected);
            }
        }
    }
}

#[test]
fn a_copy_computes_on_the_view_of_the_peer_that_learns_from_it() {
    let device = Device::default().autodiff();
    // Views are used in turn: with two views, the third peer has the first.
    for views in [vec![1.0], vec![1.0, 3.0], vec![1.0, 3.0, -2.0]] {
        let peers = PEERS.iter().map(|&w| TwoLogits::new(w, &device)).collect();
        let inputs = views
            .iter()
            .map(|&input| batch(&[input], &[0], at(0), &device));
        let inputs: Vec<_> = inputs.flat_map(|batch| batch.views).collect();
        let seen = Batch {
            views: inputs,
            ..batch(&[1.0], &[0], at(0), &device)
        };

        let stepped = step(stale(peers, 0, 1, &device), &seen);

        for (peer, own) in PEERS.into_iter().enumerate() {
            let input = f64::from(views[peer % views.len()]);
            let probabilities = |weights: [f64; 2]| softmax(weights.map(|weight| weight * input));
            let p = probabilities(own);
            let others: Vec<_> = (0..3).filter(|&other| other != peer).collect();
            let expected = [0, 1].map(|class| {
                let label = if class == 0 { 1.0 } else { 0.0 };
                let predicted = others
                    .iter()
                    .map(|&other| probabilities(PEERS[other])[class]);
                let predicted = predicted.sum::<f64>() / 2.0;
                own[class] - RATE * (2.0 * p[class] - label - predicted) * input
            });
            assert_close(stepped.peers[peer].weights(), expected);
        }
    }
}

#[test]
fn a_copy_computes_once_for_each_view() {
    let device = Device::default().autodiff();
    let model = counted(0.0, &device);
    let one = samples(at(4), &device);
    for (views, expected) in [(1, 1), (2, 1), (3, 1)] {
        let seen = Batch {
            views: vec![one.view().clone(); views],
            ..samples(at(4), &device)
        };
        asked(&model);
        model.forward(&seen);
        assert_eq!(asked(&model), [(1, expected); 2], "{views}");
    }
}

fn counted(seed: f32, device: &Device) -> Stale<Counted> {
    let peers = (0..2)
        .map(|i| Counted::new(seed + i as f32, device))
        .collect();
    stale(peers, 2, 3, device)
}

/// Returns how often each peer, together with its copy, has computed in training and in validation
/// mode.
fn asked(model: &Stale<Counted>) -> Vec<(usize, usize)> {
    model.peers.iter().map(Counted::asked).collect()
}

#[test]
fn copies_do_not_compute_before_the_burn_in() {
    let device = Device::default().autodiff();
    let mut model = counted(0.0, &device);
    asked(&model);
    for index in 0..4 {
        let shown = model.forward(&samples(at(index), &device));
        assert_eq!(asked(&model), [(1, usize::from(index >= 2)); 2], "{index}");
        let names: Vec<_> = terms(&shown.metrics).into_keys().collect();
        let has_teacher = names.iter().any(|name| name == "peer 1 soft-cross-entropy");
        assert_eq!(has_teacher, index >= 2);
        assert_eq!(names.len(), if has_teacher { 7 } else { 5 });
        model = step(model, &samples(at(index), &device));
        asked(&model);
    }
}

#[test]
fn copies_do_not_change_within_a_period_and_have_running_statistics() {
    let device = Device::default().autodiff();
    let mut model = counted(0.0, &device);
    let mut copied = tensors(&model.copies);
    for index in 0..8 {
        model = step(model, &samples(at(index), &device));
        // Copied after steps 2, 5 and 8.
        if [2, 5, 8].contains(&(index + 1)) {
            assert_ne!(tensors(&model.copies), copied);
            copied = tensors(&model.copies);
            for (copy, peer) in model.copies.iter().zip(&model.peers) {
                assert_eq!(tensors(copy), tensors(&peer.valid()));
            }
        }
        assert_eq!(tensors(&model.copies), copied, "{index}");
    }
}

#[test]
fn a_resumed_training_copies_in_the_same_steps_as_an_uninterrupted_one() {
    let device = Device::default().autodiff();
    let run = |mut model: Stale<Counted>, steps: std::ops::Range<usize>| {
        for index in steps {
            model = step(model, &samples(at(index), &device));
        }
        model
    };
    let whole = tensors(&run(counted(0.0, &device), 0..9).valid());
    for middle in [1, 2, 3, 4, 5, 7] {
        let half = run(counted(0.0, &device), 0..middle);
        let restored = counted(9.0, &device).load_record(half.valid().into_record());
        assert_eq!(
            tensors(&run(restored, middle..9).valid()),
            whole,
            "{middle}"
        );
    }
}

#[test]
fn a_batch_of_one_unlabeled_sample_trains() {
    let device = Device::default().autodiff();
    let peers = PEERS.iter().map(|&w| TwoLogits::new(w, &device)).collect();
    let one = labeled(batch(&[1.0], &[0], at(0), &device), 0);
    let stepped = step(stale(peers, 0, 1, &device), &one);
    for peer in &stepped.peers {
        assert!(peer.weights().iter().all(|weight| weight.is_finite()));
    }
}

#[test]
fn a_validation_changes_nothing() {
    let device = Device::default().autodiff();
    let model = step(counted(0.0, &device), &samples(at(1), &device)).valid();
    let before = tensors(&model);
    let plain = device.clone().without_autodiff();

    burn::train::InferenceStep::step(&model, samples(at(4), &plain));

    assert_eq!(tensors(&model), before);
}

#[test]
#[should_panic(expected = "The period of copies must be at least 1 step, but is 0.")]
fn a_period_of_zero_is_refused() {
    counted(0.0, &Device::default()).with_schedule(1, 0);
}

#[test]
#[should_panic(
    expected = "Peers 1 and 2 have the same parameters, so they would learn nothing from each other: \
                initialize them from different seeds."
)]
fn identical_peers_are_refused() {
    let device = Device::default();
    let peers = [PEERS[0], PEERS[0], PEERS[1]].map(|weights| TwoLogits::new(weights, &device));
    stale(peers.into(), 0, 1, &device);
}
