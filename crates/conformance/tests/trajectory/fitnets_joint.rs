//! FitNets: hints through a regressor that is trained with the student, against RepDistiller.

use crate::networks::Conv;
use crate::recording::{Recording, device};
use crate::replay::{Replay, sgd};
use burn_distill::architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill::core::{CrossEntropyObjective, TapObjective, TapPair, known_taps};
use burn_distill::feature::HintLossConfig;
use burn_distill::strategy::OfflineDistiller;

/// In PyTorch the layer of the regressor is `conv` and its normalization is `bn`.
fn regressor(name: &str) -> String {
    name.replace("layer.Conv.", "conv.").replace("norm.", "bn.")
}

#[test]
fn hints_train_as_in_rep_distiller() {
    let recording = Recording::read("fitnets_joint");
    let student = recording.load(Conv::student(), "init_student");
    let teacher = recording.frozen(Conv::teacher(), "init_teacher");
    let taps = [known_taps(&student), known_taps(teacher.inner())];
    let [from, to] = taps.map(|taps| taps.expect("layer2"));
    let adapter = FeatureAdapterConfig::new(AdapterKind::Regressor)
        .with_activation(true)
        .init(&from, &to, &device())
        .unwrap();
    let adapter = recording.load_as(adapter, "init_regressor", regressor);
    let pair = TapPair::new("layer2", "layer2", HintLossConfig::new().init()).with_adapter(adapter);
    let objective = (
        CrossEntropyObjective::new(1.0),
        TapObjective::new([pair], 100.0),
    );

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[("cross-entropy", "step_loss_cls"), ("hint", "step_loss_kd")],
    };
    replay.run(
        OfflineDistiller::new(student, teacher, objective),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            snapshot.assert_same(&model.student, "student");
            snapshot.assert_same(model.teacher.inner(), "teacher");
            let adapter = &model.objective.1.term.pairs[0].adapter;
            recording.assert_same_as(adapter, &snapshot.name("regressor"), regressor);
        },
    );
}
