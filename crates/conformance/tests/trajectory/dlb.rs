//! Self-distillation from the last mini-batch (DLB), against the code of the authors.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::LastBatchDistiller;

#[test]
fn the_last_batch_trains_as_in_the_code_of_the_authors() {
    let recording = Recording::read("dlb");
    let student = recording.load(Mlp::new(16), "init_student");
    let soft = SoftTargetLossConfig::new().with_temperature(3.0).init();
    let model = LastBatchDistiller::new(student, 14, ResponseObjective::new(soft, 1.5));

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(true, 5e-4),
        terms: &[("cross-entropy", "step_ce_loss")],
    };
    replay.run(
        recording.widen(model),
        |step| recording.batch(step, &["data", "data_view2"]),
        |model, snapshot| snapshot.assert_same(&model.student, "student"),
    );
}
