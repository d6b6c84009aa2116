//! Several teachers weighted by their entropy (EBKD), against the repository of CA-MKD.

use crate::networks::Conv;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::{CrossEntropyObjective, Weighted};
use burn_distill::response::EntropyWeightedLossConfig;
use burn_distill::strategy::OfflineDistiller;

#[test]
fn several_teachers_train_a_student_as_in_the_repository_of_ca_mkd() {
    let recording = Recording::read("multi_ebkd");
    let student = recording.load(Conv::student(), "init_student");
    let teachers = [[12, 20], [10, 16], [8, 20]].into_iter().zip(1..);
    let teachers: Vec<_> = teachers
        .map(|(channels, number)| {
            recording.frozen(Conv::new(channels), &format!("init_teacher{number}"))
        })
        .collect();
    let soft = EntropyWeightedLossConfig::new().with_temperature(4.0);
    let objective = (
        CrossEntropyObjective::new(1.0),
        Weighted::of(soft.init(3), 1.0),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[
            ("cross-entropy", "step_loss_cls"),
            ("entropy-weighted", "step_loss_div"),
        ],
    };
    replay.run(
        OfflineDistiller::new(student, teachers, objective),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            snapshot.assert_same(&model.student, "student");
            for (teacher, number) in model.teacher.iter().zip(1..) {
                snapshot.assert_same(teacher.inner(), &format!("teacher{number}"));
            }
        },
    );
}
