//! Collaborative learning: peers that learn from one target that combines all of them.

use crate::common::{
    Counted, RATE, TwoLogits, assert_close, at, batch, cross_entropy, labeled,
    labels_and_soft_targets, samples, softmax, step,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Batch, CrossEntropyObjective, Network, Targets, tensors};
use burn_distill_response::{ResponseObjective, SoftTargetLoss};
use burn_distill_strategy::{Distillation, EnsembleObjective, EnsembleTarget, MutualDistiller};

type Collaborative<N> = MutualDistiller<
    N,
    EnsembleObjective<(CrossEntropyObjective, ResponseObjective<SoftTargetLoss>)>,
>;

const TARGETS: [EnsembleTarget; 6] = [
    EnsembleTarget::Mean,
    EnsembleTarget::Naive,
    EnsembleTarget::Linear,
    EnsembleTarget::MinLogit,
    EnsembleTarget::General,
    EnsembleTarget::Others,
];

fn collaborative<N: Network>(
    peers: Vec<N>,
    target: EnsembleTarget,
    device: &Device,
) -> Collaborative<N> {
    let objective =
        || EnsembleObjective::new(target, peers.len(), labels_and_soft_targets(), device);
    let objectives = peers.iter().map(|_| objective()).collect();
    MutualDistiller::new(peers, objectives)
}

const PEERS: [[f64; 2]; 3] = [[0.3, -0.2], [-1.0, 0.5], [0.1, 0.8]];

#[test]
fn a_step_agrees_with_one_computed_by_hand() {
    let device = Device::default().autodiff();
    let mean = [0, 1].map(|class| PEERS.iter().map(|w| w[class]).sum::<f64>() / 3.0);
    let shifted = PEERS.map(|w| [0.0, w[1] - w[0]]);
    let least = [
        0.0,
        shifted.iter().map(|w| w[1]).fold(f64::INFINITY, f64::min),
    ];
    for (target, logits) in [
        (EnsembleTarget::Mean, mean),
        // The first peer has the largest logit for class 0.
        (EnsembleTarget::Naive, PEERS[0]),
        (EnsembleTarget::MinLogit, least),
    ] {
        let peers = PEERS.iter().map(|&w| TwoLogits::new(w, &device)).collect();
        let model = collaborative(peers, target, &device);
        let stepped = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

        for (peer, expected) in stepped
            .peers
            .iter()
            .zip(after_a_step(PEERS, 1.0, CLASS_0, logits))
        {
            assert_close(peer.weights(), expected);
        }
    }
}

/// Returns the weights of all peers after a step on a sample, with a target of given logits.
fn after_a_step(
    peers: [[f64; 2]; 3],
    input: f64,
    label: [f64; 2],
    logits: [f64; 2],
) -> [[f64; 2]; 3] {
    let q = softmax(logits);
    peers.map(|before| {
        let p = softmax(before.map(|weight| weight * input));
        [0, 1].map(|class| {
            let gradient = (p[class] - label[class]) + (p[class] - q[class]);
            before[class] - RATE * gradient * input
        })
    })
}

const CLASS_0: [f64; 2] = [1.0, 0.0];

fn mean_of(weights: [f64; 3], peers: [[f64; 2]; 3]) -> [f64; 2] {
    [0, 1].map(|class| (0..3).map(|peer| weights[peer] * peers[peer][class]).sum())
}

#[test]
fn a_step_towards_the_best_mean_agrees_with_one_computed_by_hand() {
    // Such a soft label lies between the predictions of the peers, so that the best mean is not one
    // peer.
    let label = [0.55, 0.45];
    let mean = mean_of([1.0 / 3.0; 3], PEERS);
    let range = PEERS.map(|peer| (peer[0] - mean[0] - peer[1] + mean[1]).abs());
    let range = range.into_iter().fold(0.0, f64::max);
    let mut log_weights = [0.0_f64; 3];
    let (mut least, mut best) = (f64::INFINITY, mean);
    for number in 1..=20 {
        let logits = mean_of(softmax_of(log_weights), PEERS);
        let loss = cross_entropy(logits, label);
        if loss < least {
            (least, best) = (loss, logits);
        }
        let p = softmax(logits);
        for (log_weight, peer) in log_weights.iter_mut().zip(PEERS) {
            let slope = (p[0] - label[0]) * peer[0] + (p[1] - label[1]) * peer[1];
            // Logits minus their mean have another gradient, which differs by the same number for
            // all peers, and a softmax does not depend on that.
            *log_weight -= 4.0 / (range * f64::from(number).sqrt()) * slope;
        }
    }
    // The steps approach the mean with the predictions of the label.
    let perfect = (label[0] / label[1]).ln();
    assert!((best[0] - best[1] - perfect).abs() < 0.02);

    let device = Device::default().autodiff();
    let peers = PEERS.iter().map(|&w| TwoLogits::new(w, &device)).collect();
    let model = collaborative(peers, EnsembleTarget::Linear, &device);
    let unsure = Batch {
        targets: Targets::Probabilities {
            probabilities: Tensor::from_data([label], &device),
            labeled: None,
        },
        ..batch(&[1.0], &[0], at(1, 0), &device)
    };
    let stepped = step(model, &unsure);

    let expected = after_a_step(PEERS, 1.0, label, best);
    for (peer, expected) in stepped.peers.iter().zip(expected) {
        assert_close(peer.weights(), expected);
    }
}

fn softmax_of(exponents: [f64; 3]) -> [f64; 3] {
    let sum: f64 = exponents.iter().map(|exponent| exponent.exp()).sum();
    exponents.map(|exponent| exponent.exp() / sum)
}

#[test]
fn steps_towards_the_mean_of_the_smallest_error_agree_with_those_computed_by_hand() {
    let device = Device::default().autodiff();
    let peers = PEERS.iter().map(|&w| TwoLogits::new(w, &device)).collect();
    let mut model = collaborative(peers, EnsembleTarget::General, &device);

    // In the first epoch all weights are equal, and the errors are measured before each step.
    let mut now = PEERS;
    let mut products = [[0.0; 3]; 3];
    for (index, input) in [1.0, -2.0].into_iter().enumerate() {
        model = step(model, &batch(&[input as f32], &[0], at(1, index), &device));

        let logits_now = now.map(|peer| peer.map(|weight| weight * input));
        // p − y is (−w, w), where w is the probability of the other class.
        let wrong = logits_now.map(|logits| softmax(logits)[1]);
        for (row, a) in products.iter_mut().zip(wrong) {
            for (product, b) in row.iter_mut().zip(wrong) {
                *product += 2.0 * a * b;
            }
        }
        now = after_a_step(now, input, CLASS_0, mean_of([1.0 / 3.0; 3], logits_now));
        for (peer, expected) in model.peers.iter().zip(now) {
            assert_close(peer.weights(), expected);
        }
    }

    // With a thousandth of the mean diagonal on the diagonal, and one negative weight that becomes
    // zero.
    let ridge = 1e-3 * (0..3).map(|i| products[i][i]).sum::<f64>() / 3.0;
    for (i, row) in products.iter_mut().enumerate() {
        row[i] += ridge;
    }
    let weights = solved(products, [1.0; 3]);
    assert!(weights[0] > 0.0 && weights[1] > 0.0 && weights[2] < 0.0);
    let sum = weights[0] + weights[1];
    let weights = [weights[0] / sum, weights[1] / sum, 0.0];

    model = step(model, &batch(&[1.0], &[0], at(2, 0), &device));
    let expected = after_a_step(now, 1.0, CLASS_0, mean_of(weights, now));
    for (peer, expected) in model.peers.iter().zip(expected) {
        assert_close(peer.weights(), expected);
    }
}

/// Solves `matrix · x = right` by Cramer's rule.
fn solved(matrix: [[f64; 3]; 3], right: [f64; 3]) -> [f64; 3] {
    let determinant = |m: [[f64; 3]; 3]| {
        let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
        m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1)
    };
    [0, 1, 2].map(|column| {
        let mut other = matrix;
        for (row, right) in other.iter_mut().zip(right) {
            row[column] = right;
        }
        determinant(other) / determinant(matrix)
    })
}

#[test]
fn batches_of_one_and_without_labels_train_with_every_target() {
    let device = Device::default().autodiff();
    for target in TARGETS {
        let peers = PEERS.iter().map(|&w| TwoLogits::new(w, &device)).collect();
        let one = batch(&[1.0], &[0], at(2, 0), &device);
        for batch in [one.clone(), labeled(one, 0)] {
            let stepped = step(
                collaborative::<TwoLogits>(Vec::clone(&peers), target, &device),
                &batch,
            );
            for peer in &stepped.peers {
                assert!(peer.weights().iter().all(|weight| weight.is_finite()));
            }
        }
    }
}

#[test]
fn all_peers_have_the_same_target_in_every_order() {
    let device = Device::default().autodiff();
    for target in TARGETS {
        let run = |order: [usize; 3]| {
            let peers = order.map(|seed| Counted::new(seed as f32, &device));
            let mut model = collaborative(peers.to_vec(), target, &device);
            for index in 0..4 {
                model = step(model, &samples(at(1 + index / 2, index % 2), &device));
            }
            model
        };
        let (there, back) = (run([0, 1, 2]), run([2, 1, 0]));
        for (a, b) in there.peers.iter().zip(back.peers.iter().rev()) {
            let [a, b] = [a, b].map(|peer| peer.weight.val().without_autodiff());
            let apart = a.sub(b).abs().max().into_scalar::<f32>();
            assert!(apart < 1e-4, "{target:?} {apart}");
        }
    }
}

#[test]
fn the_errors_of_peers_are_saved_in_a_checkpoint() {
    let device = Device::default().autodiff();
    let build = |seed: f32| {
        let peers = (0..2)
            .map(|i| Counted::new(seed + i as f32, &device))
            .collect();
        collaborative(peers, EnsembleTarget::General, &device)
    };
    let run = |mut model: Collaborative<Counted>, steps: std::ops::Range<usize>| {
        for index in steps {
            model = step(model, &samples(at(1 + index / 2, index % 2), &device));
        }
        model
    };
    for middle in 1..5 {
        let model = run(build(0.0), 0..middle);
        let restored = build(7.0).load_record(model.clone().into_record());
        assert_eq!(tensors(&restored), tensors(&model));
        // One after the other, since clones share memories and running statistics.
        let record = model.into_record();
        let whole = run(build(3.0).load_record(record), middle..6);
        let rest = run(restored, middle..6);
        assert_eq!(tensors(&rest), tensors(&whole));
    }
}

#[test]
fn a_validation_does_not_measure_errors() {
    let device = Device::default().autodiff();
    let peers = (0..2).map(|i| Counted::new(i as f32, &device)).collect();
    let model = collaborative(peers, EnsembleTarget::General, &device);
    let model = step(model, &samples(at(1, 0), &device)).valid();
    let before = tensors(&model);

    let plain = device.clone().without_autodiff();
    burn::train::InferenceStep::step(&model, samples(at(2, 0), &plain));

    assert_eq!(tensors(&model), before);
}

#[test]
fn students_with_smaller_errors_have_larger_weights() {
    // The second peer predicts the wrong class for every sample.
    let device = Device::default().autodiff();
    let peers = vec![
        TwoLogits::new([2.0, -2.0], &device),
        TwoLogits::new([-2.0, 2.0], &device),
    ];
    let model = collaborative(peers, EnsembleTarget::General, &device);
    let samples = |clock| batch(&[1.0, 0.5], &[0, 1], clock, &device);
    let model = step(model, &samples(at(1, 0)));
    model.forward(&samples(at(2, 0)));

    let weights = model.objectives[0].errors.as_ref().unwrap().weights.get();
    let first: f64 = weights.narrow(0, 0, 1).into_scalar();
    assert!(first > 0.6, "{first}");
    let other: Tensor<1> = model.objectives[1].errors.as_ref().unwrap().weights.get();
    assert!(other.narrow(0, 0, 1).into_scalar::<f64>() < 0.4);
}

#[test]
#[should_panic(expected = "An ensemble has no taps")]
fn taps_of_the_target_are_refused() {
    #[derive(Module, Debug)]
    struct Taps {}

    impl burn_distill_core::Objective for Taps {
        fn requirements(&self) -> burn_distill_core::Requirements {
            burn_distill_core::Requirements {
                teacher: burn_distill_core::TapSelection::named(["pool"]),
                ..Default::default()
            }
        }

        fn forward(&self, _: &burn_distill_core::Context<'_>) -> burn_distill_core::Terms {
            unreachable!()
        }
    }

    EnsembleObjective::new(EnsembleTarget::Mean, 2, Taps {}, &Device::default());
}

#[test]
#[should_panic(
    expected = "An ensemble has one view of each sample, but the objective requires 2 views."
)]
fn several_views_of_the_target_are_refused() {
    let objective = burn_distill_core::EveryView::new(CrossEntropyObjective::new(1.0), 2);
    EnsembleObjective::new(EnsembleTarget::Mean, 2, objective, &Device::default());
}
