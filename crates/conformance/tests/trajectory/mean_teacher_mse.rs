//! Mean teacher, whose average begins with other weights than the student, against the code of the
//! authors.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::{CrossEntropyObjective, LossDenominator, MovingAverage};
use burn_distill::response::{ProbabilityMatchingLossConfig, ResponseObjective};
use burn_distill::strategy::{MeanTeacher, SelfDistiller};

#[test]
fn an_average_teaches_as_in_the_code_of_the_authors() {
    let recording = Recording::read("mean_teacher_mse");
    let student = recording.load(Mlp::new(16), "init_student");
    let average = recording.load(Mlp::new(16), "init_average");
    let mut teacher = MeanTeacher::new(&student, 0.8).with_training_mode(true);
    teacher.average = MovingAverage::new(&average);
    let consistency = ProbabilityMatchingLossConfig::new().init();
    let objective = (
        CrossEntropyObjective::new(1.0).with_denominator(LossDenominator::All),
        ResponseObjective::new(consistency, 1.0),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(true, 5e-4),
        terms: &[("cross-entropy", "step_class_loss")],
    };
    replay.run_with(
        SelfDistiller::new(student, teacher, objective),
        |step| recording.batch(step, &["data", "data_view2"]),
        |mut model, step| {
            let weight = recording.row("step_consistency_weight", step)[0];
            model.objective.1.weight = weight.into();
            model
        },
        |model, snapshot| {
            snapshot.assert_same(&model.student, "student");
            snapshot.assert_same(model.teacher.average.inner(), "average");
        },
    );
}
