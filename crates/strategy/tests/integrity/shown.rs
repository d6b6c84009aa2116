//! Figures of a training: those that it has, and no others.

use crate::toys::*;
use burn::tensor::{Device, Tensor};
use burn::train::metric::store::Split;
use burn_distill_core::{DynNetwork, Hard};
use burn_distill_data::{Augmentation, BatchLoader, digits};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::{
    ByEpoch, DinoDistiller, DinoHeadConfig, DinoObjectiveConfig, Distiller, DropoutDistillerConfig,
    Figure, History, LastBatchDistiller, Loaders, MeanTeacher, OfflineDistiller, PastPredictions,
    Quiet, SameClass, SelfDistiller, Training,
};
use std::sync::Arc;

fn soft() -> ResponseObjective<SoftTargetLoss> {
    ResponseObjective::new(SoftTargetLossConfig::new().init(), 1.0)
}

fn network() -> DynNetwork<Tensor<4>> {
    DynNetwork::new(new_student())
}

/// Trains for two epochs on batches with two views, and returns the names of the figures of each
/// epoch on the training and on the validation samples.
fn shown<M: Distiller<Tensor<4>>>(model: M, terms: &[&str]) -> [[Vec<String>; 2]; 2] {
    let folder = tempfile::tempdir().unwrap();
    let terms = terms.iter().map(|term| Figure::Term(term.to_string()));
    let figures = [
        Figure::Loss,
        Figure::Accuracy,
        Figure::TeacherAccuracy,
        Figure::Agreement,
    ];
    let loader = |count| BatchLoader::new(digits().take(count), 16).views(2);
    let train = loader(48).shuffle(0).augment(Augmentation::default(), 0);
    let loaders = Loaders {
        steps_per_epoch: train.num_batches(),
        train: Box::new(move |epoch| Arc::new(train.starting_at(epoch))),
        valid: Box::new(move |epoch| Arc::new(loader(32).starting_at(epoch))),
    };
    Training::new(folder.path(), &Device::default(), 2)
        .with_figures(figures.into_iter().chain(terms))
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(model, &optimizer(), &rate(), loaders)
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

/// The names of these figures and of these terms, sorted.
fn with(figures: &[&str], terms: &[&str]) -> Vec<String> {
    let terms = terms.iter().map(|term| format!("Loss @ {term}"));
    let mut names: Vec<_> = figures.iter().map(|name| name.to_string()).collect();
    names.extend(terms);
    names.sort();
    names
}

#[test]
fn a_training_without_a_teacher_has_no_figures_of_one() {
    let model = OfflineDistiller::alone(new_student(), Hard::new(1.0));

    for epoch in shown(model, &["hard"]) {
        assert_eq!(epoch, [(); 2].map(|()| with(&OWN, &["hard"])));
    }
}

#[test]
fn a_memory_is_no_teacher_of_what_it_has_not_seen() {
    let memory = PastPredictions::new(2000, 10, &Device::default());
    let model = SelfDistiller::new(new_student(), memory, (Hard::new(1.0), soft()));
    let terms = ["hard", "soft-target"];

    let [first, second] = shown(model, &terms);

    assert_eq!(first, [with(&OWN, &terms), with(&["Accuracy"], &[])]);
    assert_eq!(second, [with(&ALL, &terms), with(&["Accuracy"], &[])]);
}

#[test]
fn a_network_is_not_its_own_partner_in_a_validation() {
    let objective = (Hard::new(1.0), soft());
    let model = SelfDistiller::new(new_student(), SameClass::default(), objective);
    let terms = ["hard", "soft-target"];

    for epoch in shown(model, &terms) {
        assert_eq!(epoch, [with(&ALL, &terms), with(&["Accuracy"], &[])]);
    }
}

#[test]
fn an_average_teaches_in_a_validation_too() {
    let average = MeanTeacher::new(&new_student(), 0.9);
    let model = SelfDistiller::new(new_student(), average, (Hard::new(1.0), soft()));
    let terms = ["hard", "soft-target"];

    for epoch in shown(model, &terms) {
        assert_eq!(epoch, [(); 2].map(|()| with(&ALL, &terms)));
    }
}

#[test]
fn a_loss_without_one_of_its_terms_is_not_shown() {
    let last = LastBatchDistiller::new(network(), 16, soft());
    for epoch in shown(last, &["hard", "soft-target"]) {
        let expected = [
            with(&OWN, &["hard", "soft-target"]),
            with(&["Accuracy"], &["hard"]),
        ];
        assert_eq!(epoch, expected);
    }
}

#[test]
fn dropped_features_have_no_term_in_a_validation() {
    use burn_distill_architecture::ConvNetConfig;
    let device = Device::default().autodiff();
    let network = ConvNetConfig::new(vec![3, 4], [1, 8, 8], 10).init(&device);
    let dropped = DropoutDistillerConfig::new().init(network, Hard::new(1.0));

    for epoch in shown(dropped, &["hard", "dropout"]) {
        let expected = [
            with(&OWN, &["hard", "dropout"]),
            with(&["Accuracy"], &["hard"]),
        ];
        assert_eq!(epoch, expected);
    }
}

#[test]
fn views_that_are_alike_have_no_loss_between_them() {
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
