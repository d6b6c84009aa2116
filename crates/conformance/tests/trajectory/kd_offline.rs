//! Knowledge distillation (KD) from a trained teacher, against RepDistiller.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::CrossEntropyObjective;
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::OfflineDistiller;

#[test]
fn soft_targets_train_as_in_rep_distiller() {
    let recording = Recording::read("kd_offline");
    let student = recording.load(Mlp::new(16), "init_student");
    let teacher = recording.frozen(Mlp::new(24), "init_teacher");
    let soft = SoftTargetLossConfig::new().with_temperature(4.0).init();
    let objective = (
        CrossEntropyObjective::new(0.1),
        ResponseObjective::new(soft, 0.9),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[
            ("cross-entropy", "step_loss_cls"),
            ("soft-target", "step_loss_div"),
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
