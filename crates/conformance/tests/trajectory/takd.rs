//! Teacher assistant (TAKD) between teacher and student, against the code of the authors.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::{CrossEntropyObjective, Frozen};
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::OfflineDistiller;

#[test]
fn an_assistant_trains_and_teaches_as_in_the_code_of_the_authors() {
    let recording = Recording::read("takd");
    let teacher = recording.frozen(Mlp::new(32), "init_teacher");
    let [assistant, student] = [("init_assistant", 24), ("init_student", 16)]
        .map(|(prefix, hidden)| recording.load(Mlp::new(hidden), prefix));
    let (temperature, lambda, classes) = (5.0, 0.6, 5.0);
    let objective = || {
        let soft = SoftTargetLossConfig::new()
            .with_temperature(temperature)
            .init();
        // The divergence of the authors is divided by the number of classes too.
        let soft = ResponseObjective::new(soft, lambda / classes);
        (CrossEntropyObjective::new(1.0 - lambda), soft)
    };
    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 1e-4),
        terms: &[("cross-entropy", "step_loss_SL")],
    };
    let distiller = OfflineDistiller::new(assistant, teacher.clone(), objective());
    let assistant = replay.run_steps(
        distiller,
        0..16,
        |step| recording.batch(step, &["data"]),
        |model, _| model,
        |model, snapshot| snapshot.assert_same(&model.student, "assistant"),
    );
    let assistant = Frozen::new(assistant.student);
    replay.run_steps(
        OfflineDistiller::new(student, assistant, objective()),
        16..32,
        |step| recording.batch(step, &["data"]),
        |model, _| model,
        |model, snapshot| {
            snapshot.assert_same(&model.student, "student");
            snapshot.assert_same(model.teacher.inner(), "assistant");
        },
    );
    recording.assert_same(teacher.inner(), "final_teacher");
}
