//! Class-wise self-distillation (CS-KD), against the code of the authors.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::core::{Batch, CrossEntropyObjective};
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::{SameClass, SelfDistiller};

#[test]
fn samples_of_a_class_train_as_in_the_code_of_the_authors() {
    let recording = Recording::read("cskd");
    let student = recording.load(Mlp::new(16), "init_student");
    let soft = SoftTargetLossConfig::new().with_temperature(4.0).init();
    let objective = (
        CrossEntropyObjective::new(1.0),
        ResponseObjective::new(soft, 1.5),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 1e-4),
        terms: &[("soft-target", "step_cls_loss")],
    };
    replay.run(
        SelfDistiller::new(student, SameClass::default(), objective),
        |step| {
            let batch: Batch<_> = recording.batch(step, &["data"]);
            let partners = recording.ids("partner_indices", step);
            let views = vec![
                batch.views[0].clone(),
                recording.select::<2>("data", &partners),
            ];
            Batch { views, ..batch }
        },
        |model, snapshot| snapshot.assert_same(&model.student, "student"),
    );
}
