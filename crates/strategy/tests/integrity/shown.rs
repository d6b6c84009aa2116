//! Metrics of a training: those that apply, and no others.

use crate::common::digits::*;
use burn::tensor::{Device, Tensor};
use burn::train::metric::store::Split;
use burn_distill_core::{CrossEntropyObjective, DynNetwork};
use burn_distill_data::{Augmentation, BatchLoader, digits};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::{
    ByEpoch, DinoDistiller, DinoHeadConfig, DinoObjectiveConfig, Distiller, DropoutDistillerConfig,
    History, LastBatchDistiller, MeanTeacher, MetricKind, OfflineDistiller, PastPredictions, Quiet,
    SameClass, SelfDistiller, Training,
};

fn soft() -> ResponseObjective<SoftTargetLoss> {
    ResponseObjective::new(SoftTargetLossConfig::new().init(), 1.0)
}

fn network() -> DynNetwork<Tensor<4>> {
    DynNetwork::new(new_student())
}

/// Trains for two epochs on batches with two views, and returns the names of the metrics of each
/// epoch on the training and on the validation samples.
fn shown<M: Distiller<Tensor<4>>>(model: M, terms: &[&str]) -> [[Vec<String>; 2]; 2] {
    let folder = tempfile::tempdir().unwrap();
    let terms = terms.iter().map(|term| MetricKind::Term(term.to_string()));
    let metrics = [
        MetricKind::Loss,
        MetricKind::Accuracy,
        MetricKind::TeacherAccuracy,
        MetricKind::Agreement,
    ];
    let loader = |count| BatchLoader::new(digits().take(count), 16).views(2);
    let train = loader(48).shuffle(0).augment(Augmentation::default(), 0);
    Training::new(folder.path(), &Device::default(), 2)
        .with_metrics(metrics.into_iter().chain(terms))
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(model, &optimizer(), &rate(), (train, loader(32)))
        .unwrap();

    let path = folder.path().join("history.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("NaN"), "{text}");
    let history = History::up_to(path, 2).unwrap();
    [1, 2].map(|epoch| {
        let names = |split| history.at(epoch, &split).into_keys().collect();
        [Split::Train, Split::Valid].map(names)
    })
}

const OWN: [&str; 2] = ["Accuracy", "Loss"];
const ALL: [&str; 4] = ["Accuracy", "Agreement", "Loss", "Teacher Accuracy"];

/// Returns the names of these metrics and of these terms, sorted.
fn with(metrics: &[&str], terms: &[&str]) -> Vec<String> {
    let terms = terms.iter().map(|term| format!("Loss @ {term}"));
    let mut names: Vec<_> = metrics.iter().map(|name| name.to_string()).collect();
    names.extend(terms);
    names.sort();
    names
}

#[test]
fn a_training_without_a_teacher_has_no_metrics_of_a_teacher() {
    let model = OfflineDistiller::without_teacher(new_student(), CrossEntropyObjective::new(1.0));

    for epoch in shown(model, &["cross-entropy"]) {
        assert_eq!(epoch, [(); 2].map(|()| with(&OWN, &["cross-entropy"])));
    }
}

#[test]
fn past_predictions_have_no_teacher_metrics_for_unseen_samples() {
    let memory = PastPredictions::new(2000, 10, &Device::default());
    let model = SelfDistiller::new(
        new_student(),
        memory,
        (CrossEntropyObjective::new(1.0), soft()),
    );
    let terms = ["cross-entropy", "soft-target"];

    let [first, second] = shown(model, &terms);

    assert_eq!(first, [with(&OWN, &terms), with(&["Accuracy"], &[])]);
    assert_eq!(second, [with(&ALL, &terms), with(&["Accuracy"], &[])]);
}

#[test]
fn a_validation_without_pairs_has_no_teacher_metrics() {
    let objective = (CrossEntropyObjective::new(1.0), soft());
    let model = SelfDistiller::new(new_student(), SameClass::default(), objective);
    let terms = ["cross-entropy", "soft-target"];

    for epoch in shown(model, &terms) {
        assert_eq!(epoch, [with(&ALL, &terms), with(&["Accuracy"], &[])]);
    }
}

#[test]
fn a_moving_average_has_teacher_metrics_in_a_validation_too() {
    let average = MeanTeacher::new(&new_student(), 0.9);
    let model = SelfDistiller::new(
        new_student(),
        average,
        (CrossEntropyObjective::new(1.0), soft()),
    );
    let terms = ["cross-entropy", "soft-target"];

    for epoch in shown(model, &terms) {
        assert_eq!(epoch, [(); 2].map(|()| with(&ALL, &terms)));
    }
}

#[test]
fn a_loss_without_one_of_its_terms_is_not_shown() {
    let last = LastBatchDistiller::new(network(), 16, soft());
    for epoch in shown(last, &["cross-entropy", "soft-target"]) {
        let expected = [
            with(&OWN, &["cross-entropy", "soft-target"]),
            with(&["Accuracy"], &["cross-entropy"]),
        ];
        assert_eq!(epoch, expected);
    }
}

#[test]
fn a_validation_without_dropout_has_no_dropout_term() {
    use burn_distill_architecture::ConvNetConfig;
    let device = Device::default().autodiff();
    let network = ConvNetConfig::new(vec![3, 4], [1, 8, 8], 10).init(&device);
    let dropped = DropoutDistillerConfig::new().init(network, CrossEntropyObjective::new(1.0));

    for epoch in shown(dropped, &["cross-entropy", "dropout"]) {
        let expected = [
            with(&OWN, &["cross-entropy", "dropout"]),
            with(&["Accuracy"], &["cross-entropy"]),
        ];
        assert_eq!(epoch, expected);
    }
}

#[test]
fn a_validation_with_equal_views_has_no_loss() {
    use burn_distill_architecture::ConvNetConfig;
    let device = Device::default().autodiff();
    let backbone = ConvNetConfig::new(vec![3, 4], [1, 8, 8], 10).init(&device);
    let head = DinoHeadConfig::new()
        .with_d_hidden(6)
        .with_d_bottleneck(4)
        .with_d_output(8);
    let student = head.init_network(backbone, "pool");
    let teacher = MeanTeacher::new(&student, 0.9).with_warm_up(false);
    let objective = DinoObjectiveConfig::new().init(8, 1.0, &Device::default());
    let model = DinoDistiller::new(student, teacher, objective);

    for epoch in shown(model, &["dino"]) {
        let expected = [
            with(&["Agreement", "Loss"], &["dino"]),
            with(&["Agreement"], &[]),
        ];
        assert_eq!(epoch, expected);
    }
}
