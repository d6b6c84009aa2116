//! Teacher-free distillation (Tf-KD) from a trained copy, against the code of the authors.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::CrossEntropyObjective;
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::OfflineDistiller;

#[test]
fn a_trained_copy_teaches_as_in_the_code_of_the_authors() {
    let recording = Recording::read("tfkd_self");
    let student = recording.load(Mlp::new(16), "init_student");
    let teacher = recording.frozen(Mlp::new(16), "init_teacher");
    let (alpha, temperature, multiplier, classes) = (0.9, 6.0, 10.0, 5.0);
    let soft = SoftTargetLossConfig::new()
        .with_temperature(temperature)
        .init();
    // The term of the authors is T² · multiplier times a divergence that is divided by the number
    // of classes too.
    let weight = alpha * multiplier / classes;
    let objective = (
        CrossEntropyObjective::new(1.0 - alpha),
        ResponseObjective::new(soft, weight),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[],
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
