//! Online distillation with diverse peers (OKDDip) and a leader, against the code of the authors.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::CrossEntropyObjective;
use burn_distill::strategy::{EnsembleKl, GroupLeaderDistillerConfig};

#[test]
fn a_group_and_its_leader_train_as_in_the_code_of_the_authors() {
    let recording = Recording::read("okddip");
    let [first, second, third, leader] =
        [0, 1, 2, 3].map(|index| recording.load(Mlp::new(16), &format!("init_network.stu{index}")));
    let objective = || (CrossEntropyObjective::new(1.0), EnsembleKl::new(3.0, 1.0));
    let peers = (
        vec![first, second, third],
        vec![objective(), objective(), objective()],
    );
    let mut model = GroupLeaderDistillerConfig::new()
        .with_reference_gradients(true)
        .init(peers, (leader, objective()));
    let names = |name: &str| {
        name.replace("query", "query_weight")
            .replace("key", "key_weight")
    };
    model.attention = recording.load_as(model.attention, "init_network", names);

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(true, 5e-4),
        terms: &[],
    };
    replay.run_with(
        model,
        |step| recording.batch(step, &["data"]),
        |mut model, step| {
            let weight = recording.row("step_consistency_weight", step)[0];
            for (_, towards) in &mut model.objectives {
                towards.weight = weight.into();
            }
            model.leader_objective.1.weight = weight.into();
            model
        },
        |model, snapshot| {
            for (index, peer) in model.peers.iter().chain([&model.leader]).enumerate() {
                snapshot.assert_same(peer, &format!("network.stu{index}"));
            }
            recording.assert_same_as(&model.attention, &snapshot.name("network"), names);
        },
    );
}
