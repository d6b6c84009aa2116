//! Quantized distillation, against the code of the authors.

use crate::networks::Mlp;
use crate::recording::Recording;
use crate::replay::{Replay, sgd};
use burn_distill::architecture::QuantizationConfig;
use burn_distill::core::{CrossEntropyObjective, Network};
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill::strategy::OfflineDistiller;

#[test]
fn quantized_weights_teach_the_full_precision_ones_as_in_the_code_of_the_authors() {
    let recording = Recording::read("quantized_distillation");
    let student = recording.load(Mlp::new(16), "init_student");
    let teacher = recording.frozen(Mlp::new(24), "init_teacher");
    let config = QuantizationConfig::new()
        .with_bits(4)
        .with_bucket_size(Some(16));
    let (weight, classes) = (0.7, 5.0);
    let soft = SoftTargetLossConfig::new().with_temperature(2.0).init();
    let objective = (
        CrossEntropyObjective::new(1.0 - weight),
        // The divergence of the authors is divided by the number of classes too.
        ResponseObjective::new(soft, weight / classes),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(true, 0.00022),
        terms: &[],
    };
    replay.run(
        OfflineDistiller::new(config.init(student), teacher, objective),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            snapshot.assert_same(model.teacher.inner(), "teacher");
            // The authors quantize the student once more at the end, and keep that.
            match snapshot.name("student").starts_with("final") {
                true => snapshot.assert_same(&model.student.clone().deployed(), "student"),
                false => snapshot.assert_same(model.student.inner(), "student"),
            }
        },
    );
}
