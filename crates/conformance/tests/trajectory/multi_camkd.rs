//! Several teachers weighted by their predictions of the label, on logits and on features (CA-MKD),
//! against the authors' code.

use crate::networks::Conv;
use crate::recording::{Recording, device};
use crate::replay::{Replay, sgd};
use burn_distill::core::{ChangingWeight, CrossEntropyObjective, Network, Weighted};
use burn_distill::feature::{ConfidenceFeatureLossConfig, TeacherMapsTerm};
use burn_distill::response::ConfidenceAwareLossConfig;
use burn_distill::strategy::OfflineDistiller;

/// In PyTorch the projection of a teacher is a sequence of a convolution and its normalization.
fn projection(name: &str) -> String {
    name.replace("projections.", "embed")
        .replace(".conv.", ".transfer.0.")
        .replace(".norm.", ".transfer.1.")
}

#[test]
fn confident_teachers_train_a_student_as_in_the_code_of_the_authors() {
    let recording = Recording::read("multi_camkd");
    let student = recording.load(Conv::student(), "init_student");
    let teachers = [[12, 20], [10, 16], [8, 20]].into_iter().zip(1..);
    let teachers: Vec<_> = teachers
        .map(|(channels, number)| {
            recording.frozen(Conv::new(channels), &format!("init_teacher{number}"))
        })
        .collect();
    let classifiers = teachers.iter().filter_map(Network::classifier).collect();
    let features = ConfidenceFeatureLossConfig::new().init(12, classifiers, &device());
    let features = recording.load_as(features, "init_embeddings", projection);
    let features = TeacherMapsTerm::new(features, "layer2", ["layer2"; 3]);
    let from_the_second_epoch = ChangingWeight::Delayed {
        to: 50.0,
        epochs: 1,
    };
    let logits = ConfidenceAwareLossConfig::new().with_temperature(4.0);
    let objective = (
        CrossEntropyObjective::new(1.0),
        Weighted::of(logits.init(3), 1.0),
        Weighted::of(features, from_the_second_epoch),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[
            ("cross-entropy", "step_loss_cls"),
            ("confidence-aware", "step_loss_div"),
            ("confidence-feature", "step_loss_kd"),
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
            let loss = &model.objective.2.term.loss;
            recording.assert_same_as(loss, &snapshot.name("embeddings"), projection);
            for (classifier, teacher) in loss.classifiers.inner().iter().zip(1..) {
                snapshot.assert_same(classifier, &format!("teacher{teacher}.fc"));
            }
        },
    );
}
