//! Deep mutual learning (DML) in both orders.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::train::TrainStep;
use burn_distill::core::{
    Context, CrossEntropyObjective, Objective, PerTeacher, Requirements, Terms,
};
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::{MutualDistiller, OptimizerConfig, PeerOrder, StepMetrics};

#[test]
fn peers_that_step_at_once_train_as_in_the_knowledge_distillation_zoo() {
    let recording = Recording::read("dml_simultaneous");
    let peers = [("init_peer1", 16), ("init_peer2", 20)]
        .map(|(prefix, hidden)| recording.load(Mlp::new(hidden), prefix));
    let objective = || {
        let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
        PerTeacher::new([(
            CrossEntropyObjective::new(1.0),
            ResponseObjective::new(soft, 1.0),
        )])
    };
    let replay = Replay {
        recording: &recording,
        optimizer: sgd(true, 1e-4),
        terms: &[
            ("peer 1 cross-entropy", "step_cls1_loss"),
            ("peer 2 cross-entropy", "step_cls2_loss"),
            ("peer 1 soft-target", "step_kd1_loss"),
            ("peer 2 soft-target", "step_kd2_loss"),
        ],
    };
    replay.run(
        MutualDistiller::new(peers.into(), vec![objective(), objective()]),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            for (peer, name) in model.peers.iter().zip(["peer1", "peer2"]) {
                snapshot.assert_same(peer, name);
            }
        },
    );
}

/// KL divergence of the authors, which their offsets change slightly: `mean over samples of Σₖ pₖ
/// log(1e-8 + pₖ / (qₖ + 1e-8))`.
#[derive(Module, Debug)]
struct OffsetDivergence {}

impl Objective for OffsetDivergence {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let [q, p] =
            [context.student, context.teacher].map(|side| softmax(side.response.rows().logits, 1));
        let ratio = p.clone().div(q.add_scalar(1e-8)).add_scalar(1e-8);
        let loss = p.mul(ratio.log()).sum_dim(1).mean();
        Terms::one("divergence", loss, 1.0)
    }
}

#[test]
fn peers_that_take_turns_train_as_in_the_code_of_the_authors() {
    let recording = Recording::read("dml_sequential_authors");
    let peers = [("init_peer1", 16), ("init_peer2", 20)]
        .map(|(prefix, hidden)| recording.load(Mlp::plain(hidden), prefix));
    let objective = || PerTeacher::new([(CrossEntropyObjective::new(1.0), OffsetDivergence {})]);
    let mut model = MutualDistiller::new(peers.into(), vec![objective(), objective()])
        .with_order(PeerOrder::Sequential);
    let optimizer = OptimizerConfig::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        clip_norm: None,
    };
    let mut optimizer = optimizer.init();
    for step in 0..recording.steps() {
        let batch = recording.batch(step, &["data"]);
        let output = TrainStep::step(&model, batch);
        // The metrics are from before the first update: the terms of the first peer have their
        // values from then.
        let values = StepMetrics::read(&[output.item.metrics]).unwrap();
        let first = |name: &str| {
            name.starts_with("peer 1 cross-entropy") || name.starts_with("peer 1 divergence")
        };
        let terms = values[0].terms.iter().filter(|(name, _)| first(name));
        let loss: f64 = terms.map(|(_, value)| value).sum();
        let expected = recording.row("step_backward", step)[0];
        recording.assert_values(&[loss], &[expected], &format!("loss of step {step}"), 1e-5);

        model = model.optimize(&mut optimizer, 0.1.into(), output.grads);
        let prefix = match step + 1 {
            12 => "final".to_string(),
            steps => format!("step{steps}"),
        };
        if recording.has_state(&prefix) {
            for (peer, name) in model.peers.iter().zip(["peer1", "peer2"]) {
                recording.assert_same(peer, &format!("{prefix}_{name}"));
            }
        }
    }
}
