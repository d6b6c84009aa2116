//! Collaborative learning: peers that learn from one target that is made of all.

use crate::common::{Pair, RATE, assert_close, at, batch, hard_and_soft, softmax, step};
use crate::toys::{Counted, labelled, samples};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Hard, Network, tensors};
use burn_distill_response::{ResponseObjective, SoftTargetLoss};
use burn_distill_strategy::{EnsembleObjective, EnsembleTarget, MutualDistiller};

type Collaborative<N> =
    MutualDistiller<N, EnsembleObjective<(Hard, ResponseObjective<SoftTargetLoss>)>>;

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
    let objective = || EnsembleObjective::new(target, peers.len(), hard_and_soft(), device);
    let objectives = peers.iter().map(|_| objective()).collect();
    MutualDistiller::new(peers, objectives)
}

const PEERS: [[f64; 2]; 3] = [[0.3, -0.2], [-1.0, 0.5], [0.1, 0.8]];

#[test]
fn a_step_is_what_it_is_by_hand() {
    let device = Device::default().autodiff();
    let mean = [0, 1].map(|class| PEERS.iter().map(|w| w[class]).sum::<f64>() / 3.0);
    let shifted = PEERS.map(|w| [0.0, w[1] - w[0]]);
    let least = [
        0.0,
        shifted.iter().map(|w| w[1]).fold(f64::INFINITY, f64::min),
    ];
    for (target, logits) in [
        (EnsembleTarget::Mean, mean),
        // Of class 0, the first says the most.
        (EnsembleTarget::Naive, PEERS[0]),
        (EnsembleTarget::MinLogit, least),
    ] {
        let peers = PEERS.iter().map(|&w| Pair::new(w, &device)).collect();
        let model = collaborative(peers, target, &device);
        let stepped = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

        let q = softmax(logits);
        for (peer, before) in stepped.peers.iter().zip(PEERS) {
            let p = softmax(before);
            let gradient = [(p[0] - 1.0) + (p[0] - q[0]), p[1] + (p[1] - q[1])];
            let expected = [0, 1].map(|class| before[class] - RATE * gradient[class]);
            assert_close(peer.weights(), expected);
        }
    }
}

#[test]
fn batches_of_one_and_without_labels_do_for_every_target() {
    let device = Device::default().autodiff();
    for target in TARGETS {
        let peers = PEERS.iter().map(|&w| Pair::new(w, &device)).collect();
        let one = batch(&[1.0], &[0], at(2, 0), &device);
        for batch in [one.clone(), labelled(one, 0)] {
            let stepped = step(
                collaborative::<Pair>(Vec::clone(&peers), target, &device),
                &batch,
            );
            for peer in &stepped.peers {
                assert!(peer.weights().iter().all(|weight| weight.is_finite()));
            }
        }
    }
}

#[test]
fn all_peers_have_the_same_target_whatever_their_order() {
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
fn what_general_weights_remember_outlives_a_checkpoint() {
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
        // One after the other: clones remember, and normalize, together.
        let record = model.into_record();
        let whole = run(build(3.0).load_record(record), middle..6);
        let rest = run(restored, middle..6);
        assert_eq!(tensors(&rest), tensors(&whole));
    }
}

#[test]
fn a_validation_is_not_measured() {
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
fn students_that_err_less_weigh_more() {
    // The second says the opposite of the class, of every sample.
    let device = Device::default().autodiff();
    let peers = vec![
        Pair::new([2.0, -2.0], &device),
        Pair::new([-2.0, 2.0], &device),
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
        fn wanted(&self) -> burn_distill_core::Wanted {
            burn_distill_core::Wanted {
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
#[should_panic(expected = "An ensemble is compared with by one view, but 2 are wanted.")]
fn several_views_of_the_target_are_refused() {
    let objective = burn_distill_core::EveryView::new(Hard::new(1.0), 2);
    EnsembleObjective::new(EnsembleTarget::Mean, 2, objective, &Device::default());
}
