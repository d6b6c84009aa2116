use crate::common::digits::*;
use burn::module::{Module, ParamGroup};
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_core::{
    Context, CrossEntropyObjective, Frozen, Knowledge, Objective, Requirements, Tap, TapSelection,
    Terms, tensors,
};
use burn_distill_strategy::{
    Curriculum, CurriculumError, OfflineDistiller, OptimizerConfig, StageRecord,
};
use std::fs;
use std::path::Path;

const HINTS: usize = 4;
const DISTILLATION: usize = 5;

/// Hints first, then the labels and soft targets.
fn two_stages(mut curriculum: Curriculum, teacher: &Net) -> Result<Net, CurriculumError> {
    let first = distiller(new_student(), teacher, hints());
    curriculum.run(stage("hints", HINTS), first, loaders())?;

    let student = curriculum.load("student", &new_student())?;
    let second = distiller(student, teacher, soft_targets());
    curriculum.run(stage("distillation", DISTILLATION), second, loaders())?;

    curriculum.load("student", &new_student())
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

/// Returns the stages in the journal without their duration.
fn journal(folder: &Path) -> Vec<StageRecord> {
    let journal: serde_json::Value =
        serde_json::from_str(&read(folder, "curriculum.json")).unwrap();
    let mut stages: Vec<StageRecord> = serde_json::from_value(journal["stages"].clone()).unwrap();
    for stage in &mut stages {
        assert!(stage.seconds > 0.0);
        stage.seconds = 0.0;
    }
    stages
}

#[test]
fn a_curriculum_that_was_stopped_in_each_stage_equals_an_uninterrupted_one() {
    let [whole, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let teacher = teacher();
    let before = tensors(&teacher);
    let expected = two_stages(quiet(whole.path()), &teacher).unwrap();

    // Stopped when the second epoch of the hints has ended, but is not saved; then after the
    // remaining three epochs and two of the second stage.
    let stop = |epochs| two_stages(stopping(stopped.path(), epochs), &teacher).unwrap_err();
    assert_eq!(
        stop(2).to_string(),
        "stopped in stage `hints` after 1 of 4 epochs"
    );
    let second = stop(3 + 2).to_string();
    assert_eq!(
        second,
        "stopped in stage `distillation` after 1 of 5 epochs"
    );
    let resumed = two_stages(quiet(stopped.path()), &teacher).unwrap();

    assert_eq!(tensors(&resumed), tensors(&expected));
    assert_eq!(journal(stopped.path()), journal(whole.path()));
    for history in ["hints/history.csv", "distillation/history.csv"] {
        assert_eq!(read(stopped.path(), history), read(whole.path(), history));
    }
    assert_eq!(tensors(&teacher), before, "the teacher is bit-identical");
}

#[test]
fn the_time_of_all_runs_of_a_stage_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher();
    two_stages(stopping(folder.path(), 2), &teacher).unwrap_err();
    let mut journal: serde_json::Value =
        serde_json::from_str(&read(folder.path(), "curriculum.json")).unwrap();
    journal["stages"][0]["seconds"] = 1000.0.into();
    fs::write(folder.path().join("curriculum.json"), journal.to_string()).unwrap();

    let mut curriculum = quiet(folder.path());
    let model = distiller(new_student(), &teacher, hints());
    let hints = curriculum.run(stage("hints", HINTS), model, loaders());

    assert!(hints.unwrap().seconds > 1000.0);
}

#[test]
fn a_finished_stage_is_not_trained_again() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher();
    let expected = two_stages(quiet(folder.path()), &teacher).unwrap();
    let before = read(folder.path(), "curriculum.json");
    for stage in ["hints", "distillation"] {
        fs::remove_dir_all(folder.path().join(stage).join("checkpoint")).unwrap();
    }

    let again = two_stages(quiet(folder.path()), &teacher).unwrap();

    assert_eq!(tensors(&again), tensors(&expected));
    assert_eq!(read(folder.path(), "curriculum.json"), before);
    assert!(!folder.path().join("hints/checkpoint").exists());
}

#[test]
fn the_journal_records_the_result_of_each_stage() {
    let folder = tempfile::tempdir().unwrap();
    two_stages(quiet(folder.path()), &teacher()).unwrap();

    let [hints, distillation] = journal(folder.path()).try_into().unwrap();

    assert_eq!((hints.name.as_str(), hints.epochs), ("hints", HINTS));
    assert_eq!((hints.planned, hints.finished), (HINTS, true));
    assert_eq!(distillation.epochs, DISTILLATION);
    // The objective has no weights, so it has no artifact.
    assert_eq!(distillation.artifacts, ["student"]);
    for metrics in [&hints.train, &hints.valid, &distillation.valid] {
        assert!(metrics["Loss"] > 0.0 && metrics["Accuracy"] >= 0.0);
    }
    let history = read(folder.path(), "distillation/history.csv");
    let line = format!(
        "{DISTILLATION},valid,Accuracy,{}",
        distillation.valid["Accuracy"]
    );
    assert!(history.contains(&line), "{line}: {history}");
}

#[test]
fn a_stage_starts_with_a_new_optimizer_and_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher();
    let student = two_stages(quiet(folder.path()), &teacher).unwrap();

    // The second stage alone, from the weights of the first.
    let alone = tempfile::tempdir().unwrap();
    let mut curriculum = quiet(folder.path());
    let first = distiller(new_student(), &teacher, hints());
    curriculum
        .run(stage("hints", HINTS), first, loaders())
        .unwrap();
    let start = curriculum.load("student", &new_student()).unwrap();
    let mut curriculum = quiet(alone.path());
    let second = distiller(start, &teacher, soft_targets());
    curriculum
        .run(stage("alone", DISTILLATION), second, loaders())
        .unwrap();

    let expected = curriculum.load("student", &new_student()).unwrap();
    assert_eq!(tensors(&student), tensors(&expected));
}

#[test]
fn parameters_that_the_loss_does_not_depend_on_do_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut curriculum = quiet(folder.path());
    let first = distiller(new_student(), &teacher(), hints());
    curriculum
        .run(stage("hints", HINTS), first, loaders())
        .unwrap();
    let student = curriculum.load("student", &new_student()).unwrap();

    let initial = new_student();
    assert_ne!(tensors(&student.first), tensors(&initial.first));
    // In spite of weight decay and momentum.
    assert_eq!(tensors(&student.classifier), tensors(&initial.classifier));
    assert_eq!(tensors(&student.second), tensors(&initial.second));
    // But the forward pass updates the running statistics of all layers.
    assert_ne!(tensors(&student.second_norm), tensors(&initial.second_norm));
}

#[test]
fn weight_decay_changes_parameters_with_a_gradient_of_zero() {
    let decay = OptimizerConfig::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.5,
        clip_norm: None,
    };
    let model = distiller(
        new_student(),
        &teacher(),
        (hints(), CrossEntropyObjective::new(0.0)),
    );
    let before = tensors(&model.student.classifier);

    let output = TrainStep::step(&model, batch());
    let grads: GradientsParams = output.grads;
    let model = decay.init().step(0.1, model, grads);

    let after = tensors(&model.student.classifier);
    for ((name, after), (_, before)) in after.iter().zip(&before) {
        let values = |data: &burn::tensor::TensorData| data.iter::<f32>().collect::<Vec<_>>();
        for (after, before) in values(after).into_iter().zip(values(before)) {
            assert!(
                (after - 0.95 * before).abs() < 1e-6,
                "{name}: {after} {before}"
            );
        }
    }
}

#[test]
fn only_a_group_of_parameters_trains() {
    let [whole, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let teacher = teacher();
    let run = |mut curriculum: Curriculum| {
        let group = ParamGroup::from_predicate("student.classifier");
        let model = distiller(new_student(), &teacher, soft_targets());
        let stage = stage("classifier", 4).with_trains(group);
        curriculum.run(stage, model, loaders())?;
        curriculum.load("student", &new_student())
    };

    let student = run(quiet(whole.path())).unwrap();
    let stop: Result<Net, CurriculumError> = run(stopping(stopped.path(), 2));
    assert!(matches!(stop, Err(CurriculumError::Stopped { .. })));
    let resumed = run(quiet(stopped.path())).unwrap();

    let initial = new_student();
    assert_ne!(tensors(&student.classifier), tensors(&initial.classifier));
    assert_eq!(tensors(&student.first), tensors(&initial.first));
    assert_eq!(tensors(&student.second_norm), tensors(&initial.second_norm));
    assert_eq!(tensors(&resumed), tensors(&student));
}

/// An objective of the teacher alone: reconstructs the mean of its channels from each of them.
#[derive(Module, Debug)]
struct Rebuild {
    layer: Linear,
}

impl Rebuild {
    fn new() -> Self {
        let layer = LinearConfig::new(5, 5).init(&Device::default().autodiff());
        Self { layer }
    }
}

impl Objective for Rebuild {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::default(),
            teacher: TapSelection::named(["layer1"]),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let Tap::Map(map) = context.teacher.taps.expect("layer1") else {
            panic!("it is a map");
        };
        let features: Tensor<2> = map.mean_dim(2).mean_dim(3).flatten(1, 3);
        let rebuilt = self.layer.forward(features.clone());
        Terms::one("rebuild", rebuilt.sub(features).square().mean(), 1.0)
    }
}

#[test]
fn a_stage_that_trains_only_the_objective_changes_neither_network() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher();
    let mut curriculum = quiet(folder.path());
    let student = Frozen::new(new_student());
    let model = OfflineDistiller::new(
        student.clone(),
        Frozen::new(teacher.clone()),
        Rebuild::new(),
    );
    let frozen_teacher = model.teacher.clone();
    let before = (tensors(student.inner()), tensors(&teacher));

    let stage = curriculum
        .run(stage("rebuild", 3), model, loaders())
        .unwrap();

    assert_eq!(stage.artifacts, ["objective"]);
    assert!(!curriculum.has("student"));
    let initial = Rebuild::new();
    let trained = curriculum.load("objective", &initial).unwrap();
    assert_ne!(tensors(&trained), tensors(&initial));
    assert_eq!(tensors(student.inner()), before.0);
    assert_eq!(tensors(&teacher), before.1);
    assert_eq!(tensors(frozen_teacher.inner()), before.1);

    // The next stage loads the objective, and trains another student.
    let next = distiller(new_student(), &teacher, soft_targets());
    curriculum
        .run(
            crate::common::digits::stage("distillation", 1),
            next,
            loaders(),
        )
        .unwrap();
    assert!(curriculum.has("student") && curriculum.has("objective"));
    let later = curriculum.load("objective", &initial).unwrap();
    assert_eq!(tensors(&later), tensors(&trained));
}

#[test]
fn loading_never_writes_through_a_clone() {
    let folder = tempfile::tempdir().unwrap();
    let mut curriculum = quiet(folder.path());
    let model = distiller(new_student(), &teacher(), hints());
    curriculum.run(stage("hints", 2), model, loaders()).unwrap();
    let original = new_student();
    let before = tensors(&original);

    let loaded = curriculum.load("student", &original.clone()).unwrap();

    assert_ne!(tensors(&loaded.first_norm), tensors(&original.first_norm));
    assert_eq!(tensors(&original), before);
    let knowledge = |net: &Net| -> Knowledge {
        use burn_distill_core::Network;
        let input = net.example(2, &Device::default());
        net.forward_knowledge(input, &TapSelection::default())
    };
    let logits = knowledge(&loaded).response.classes().unwrap().clone();
    assert!(!logits.is_autodiff(), "in validation mode");
}

#[test]
fn a_stage_has_a_teacher_in_training_mode_if_so_configured() {
    let folder = tempfile::tempdir().unwrap();
    let mut curriculum = quiet(folder.path());
    let mut train = |name: &str, training_mode: bool| {
        let teacher = Frozen::new(teacher()).with_training_mode(training_mode);
        let before = tensors(teacher.inner());
        let model = OfflineDistiller::new(new_student(), teacher.clone(), soft_targets());
        curriculum.run(stage(name, 1), model, loaders()).unwrap();
        assert_eq!(tensors(teacher.inner()), before);
        tensors(&curriculum.load("student", &new_student()).unwrap())
    };

    let in_validation_mode = train("validation-mode", false);
    let in_training_mode = train("training-mode", true);

    // Its soft targets are normalized by the batch, and not by the initial running statistics.
    assert_ne!(in_training_mode, in_validation_mode);
    assert_eq!(in_training_mode, train("again", true));
}
