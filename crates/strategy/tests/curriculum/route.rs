use crate::common::digits::*;
use burn::module::Module;
use burn::tensor::Device;
use burn::train::LearnerModel;
use burn_distill_core::{CrossEntropyObjective, Frozen, NoTeacher, tensors};
use burn_distill_data::{BatchLoader, digits};
use burn_distill_strategy::{
    ByEpoch, OfflineDistiller, Quiet, Route, Snapshots, Training, hardness,
};
use std::fs;
use std::path::Path;

const TEACHER_EPOCHS: usize = 6;

type Alone = OfflineDistiller<Net, NoTeacher, CrossEntropyObjective>;

fn alone() -> Alone {
    OfflineDistiller::without_teacher(teacher(), CrossEntropyObjective::new(1.0))
}

fn training<M: LearnerModel>(folder: &Path, epochs: usize) -> Training<M> {
    Training::new(folder, &Device::default(), epochs).with_renderer(Some(ByEpoch::renderer(Quiet)))
}

/// Trains the teacher, and keeps a number of anchors.
fn train_teacher(folder: &Path, anchors: usize) -> (Net, Snapshots) {
    let training = training(folder, TEACHER_EPOCHS)
        .with_snapshots(Snapshots::equally_spaced(anchors, TEACHER_EPOCHS));
    let trained = training
        .launch(alone(), &optimizer(), &rate(), loaders())
        .unwrap();
    (trained.model.student, Snapshots::of(folder).unwrap())
}

fn anchor(anchors: &Snapshots, place: usize) -> Net {
    anchors
        .load(anchors.epochs()[place], &alone())
        .unwrap()
        .student
}

#[test]
fn anchors_are_snapshots_of_the_training_of_the_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let (converged, anchors) = train_teacher(folder.path(), 3);

    assert_eq!(anchors.epochs(), [2, 4, 6]);
    let networks = [0, 1, 2].map(|place| tensors(&anchor(&anchors, place)));
    assert_eq!(networks[2], tensors(&converged), "running statistics too");
    for (earlier, later) in networks[0].iter().zip(&networks[1]) {
        assert_ne!(earlier, later, "every tensor moves, statistics too");
    }

    // A training of that many epochs with a constant rate ends at the same weights.
    let shorter = tempfile::tempdir().unwrap();
    let constant = burn_distill_strategy::LearningRateConfig::default();
    let run = |folder: &Path, epochs, kept| {
        let training = training(folder, epochs).with_snapshots([kept]);
        let trained = training.launch(alone(), &optimizer(), &constant, loaders());
        tensors(&trained.unwrap().model.student)
    };
    let longer = tempfile::tempdir().unwrap();
    run(longer.path(), 4, 2);
    let kept = Snapshots::of(longer.path()).unwrap();
    assert_eq!(tensors(&anchor(&kept, 0)), run(shorter.path(), 2, 1));
}

#[test]
fn a_training_that_starts_anew_removes_its_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    train_teacher(folder.path(), 3);
    let (_, anchors) = train_teacher(folder.path(), 1);

    assert_eq!(anchors.epochs(), [6]);
}

#[test]
fn an_anchor_of_another_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, anchors) = train_teacher(folder.path(), 1);

    let other = OfflineDistiller::without_teacher(new_student(), CrossEntropyObjective::new(1.0));
    let error = anchors.load(6, &other).unwrap_err().to_string();
    assert!(
        error.contains("snapshots/epoch-6.bpk: does not fit"),
        "{error}"
    );
    assert!(Snapshots::of(folder.path().join("nowhere")).is_err());
}

#[test]
fn a_route_of_one_anchor_is_offline_distillation() {
    let [teachers, route, plain] = [(), (), ()].map(|()| tempfile::tempdir().unwrap());
    let (converged, anchors) = train_teacher(teachers.path(), 1);
    let epochs = 5;

    let mut curriculum = quiet(route.path());
    for leg in Route::new(anchors.epochs().len(), epochs).anchor_stages() {
        let model = distiller(new_student(), &anchor(&anchors, leg.anchor), soft_targets());
        curriculum
            .run(stage("anchor-1", leg.epochs), model, loaders())
            .unwrap();
    }

    let model = distiller(new_student(), &converged, soft_targets());
    let trained = training(plain.path(), epochs).launch(model, &optimizer(), &rate(), loaders());
    let student = curriculum.load("student", &new_student()).unwrap();
    assert_eq!(tensors(&student), tensors(&trained.unwrap().model.student));
    let history = |path: &Path| fs::read_to_string(path.join("history.csv")).unwrap();
    assert_eq!(
        history(&route.path().join("anchor-1")),
        history(plain.path())
    );
}

#[test]
fn anchors_are_frozen_and_the_student_continues_from_stage_to_stage() {
    let [teachers, route] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let (_, anchors) = train_teacher(teachers.path(), 3);
    let files: Vec<_> = anchors
        .epochs()
        .iter()
        .map(|&epoch| fs::read(anchors.path(epoch)).unwrap())
        .collect();

    let mut curriculum = quiet(route.path());
    let mut anchor_stages = Vec::new();
    for leg in Route::new(3, 6).anchor_stages() {
        let teacher = anchor(&anchors, leg.anchor);
        let student = match anchor_stages.is_empty() {
            true => new_student(),
            false => curriculum.load("student", &new_student()).unwrap(),
        };
        let frozen = Frozen::new(teacher.clone());
        let started = tensors(&student.valid());
        let model = OfflineDistiller::new(student, frozen.clone(), soft_targets());
        let name = format!("anchor-{}", leg.anchor + 1);
        curriculum
            .run(stage(&name, leg.epochs), model, loaders())
            .unwrap();
        let ended = tensors(&curriculum.load("student", &new_student()).unwrap());

        assert_eq!(
            tensors(frozen.inner()),
            tensors(&anchor(&anchors, leg.anchor))
        );
        anchor_stages.push((started, ended));
    }

    assert_eq!(
        anchor_stages[0].1, anchor_stages[1].0,
        "weights carry over, statistics too"
    );
    assert_eq!(anchor_stages[1].1, anchor_stages[2].0);
    assert_ne!(anchor_stages[0].1, anchor_stages[2].1);
    for (epoch, before) in anchors.epochs().iter().zip(files) {
        assert_eq!(fs::read(anchors.path(*epoch)).unwrap(), before);
    }
}

#[test]
fn hardness_is_the_divergence_of_the_student_from_the_anchor() {
    let (student, teacher) = (new_student().valid(), teacher().valid());
    // With batches of different sizes: every sample counts equally.
    let loader = |batch_size| BatchLoader::new(digits().take(40), batch_size);

    let hard = hardness(&student, &teacher, &loader(16)).unwrap();
    let at_once = hardness(&student, &teacher, &loader(40)).unwrap();

    assert_eq!(hardness(&teacher, &teacher, &loader(16)).unwrap(), 0.0);
    assert!(
        (hard - at_once).abs() < 1e-6 && hard > 0.0,
        "{hard} {at_once}"
    );

    // KL(teacher ‖ student), by hand.
    let logits = |net: &Net| {
        use burn_distill_core::Network;
        let batch = burn::data::dataloader::DataLoader::iter(&loader(40)).next();
        let response = net.forward(batch.unwrap().unwrap().view().clone());
        let logits = response.classes().unwrap().clone().into_data();
        logits.iter::<f64>().collect::<Vec<_>>()
    };
    let softmax = |row: &[f64]| {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        row.iter().map(|z| z.exp() / sum).collect::<Vec<_>>()
    };
    let (student, teacher) = (logits(&student), logits(&teacher));
    let mut expected = 0.0;
    for (student, teacher) in student.chunks(10).zip(teacher.chunks(10)) {
        let pairs = softmax(teacher).into_iter().zip(softmax(student));
        expected += pairs.map(|(p, q)| p * (p / q).ln()).sum::<f64>() / 40.0;
    }
    assert!((hard - expected).abs() < 1e-5, "{hard} {expected}");
}
