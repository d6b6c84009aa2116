//! Attention transfer (AT) with soft targets, against RepDistiller.

use crate::networks::Conv;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::{CrossEntropyObjective, TapObjective, TapPair};
use burn_distill::feature::AttentionTransferLossConfig;
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::OfflineDistiller;

#[test]
fn attention_trains_as_in_rep_distiller() {
    let recording = Recording::read("at_loop");
    let student = recording.load(Conv::student(), "init_student");
    let teacher = recording.frozen(Conv::teacher(), "init_teacher");
    let soft = SoftTargetLossConfig::new().with_temperature(4.0).init();
    let pair = |tap| TapPair::new(tap, tap, AttentionTransferLossConfig::new().init());
    let attention = TapObjective::new(["layer1", "layer2"].map(pair), 1000.0);
    let objective = (
        CrossEntropyObjective::new(0.1),
        ResponseObjective::new(soft, 0.9),
        attention,
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[
            ("cross-entropy", "step_loss_cls"),
            ("soft-target", "step_loss_div"),
            ("attention-transfer", "step_loss_kd"),
        ],
    };
    replay.run(
        OfflineDistiller::new(student, teacher, objective),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            snapshot.assert_same(&model.student, "student");
            snapshot.assert_same(model.teacher.inner(), "teacher");
        },
    );
}
