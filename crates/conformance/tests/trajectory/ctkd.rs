//! Curriculum temperature (CTKD), against the code of the authors.

use crate::networks::Mlp;
use crate::recording::{Recording, device};
use crate::replay::{Replay, sgd};
use burn_distill::core::{CrossEntropyObjective, Weighted};
use burn_distill::response::LearnedTemperatureConfig;
use burn_distill::strategy::OfflineDistiller;

#[test]
fn a_learned_temperature_trains_as_in_the_code_of_the_authors() {
    let recording = Recording::read("ctkd");
    let student = recording.load(Mlp::new(16), "init_student");
    let teacher = recording.frozen(Mlp::new(24), "init_teacher");
    let learned = LearnedTemperatureConfig::new().with_ramp(3);
    let learned = Weighted::of(learned.init(&device()), 0.9);
    let rename = |name: &str| name.replace("theta", "global_T");
    let learned = recording.load_as(learned, "init_temperature", rename);

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[
            ("cross-entropy", "step_loss_cls"),
            ("learned-temperature", "step_loss_div"),
        ],
    };
    replay.run(
        OfflineDistiller::new(student, teacher, (CrossEntropyObjective::new(0.1), learned)),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            snapshot.assert_same(&model.student, "student");
            snapshot.assert_same(model.teacher.inner(), "teacher");
            let prefix = snapshot.name("temperature");
            recording.assert_same_as(&model.objective.1, &prefix, rename);
        },
    );
}
