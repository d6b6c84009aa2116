//! Trainings whose loss or weights become NaN or infinite.

use crate::common::digits::*;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::metric::store::Split;
use burn_distill_core::{
    Context, CrossEntropyObjective, Frozen, Knowledge, Objective, Requirements, Terms, tensors,
};
use burn_distill_strategy::{
    ByEpoch, CurriculumError, EpochDisplay, EpochMetrics, EvaluationError, History, MetricKind,
    NonFinite, OfflineDistiller, Predictions, StageArtifacts, TrainError, Trained, Training,
    TrainingTitle, non_finite_weights,
};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A term that is the mean of the logits, until it becomes NaN or infinite.
#[derive(Module, Debug)]
struct Spoilt {
    /// Epoch in which it breaks; 0 for never.
    epoch: usize,
    /// Whether only its gradient breaks, in the last batch.
    gradient: bool,
}

impl Objective for Spoilt {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let logits = context.student.response.classes().unwrap();
        let mean = logits.clone().mean().square();
        let breaks = context.clock.epoch == self.epoch;
        let last = context.clock.batch + 1 == context.clock.batches;
        let value = match (breaks, self.gradient) {
            (false, _) => mean,
            (true, false) => mean.mul_scalar(f64::NAN),
            // The square root has an infinite derivative at zero.
            (true, true) if last => {
                let zero: Tensor<1> = mean.clone().sub(mean.clone().without_autodiff());
                mean.add(zero.square().sqrt())
            }
            (true, true) => mean,
        };
        Terms::one("spoilt", value, 0.1)
    }
}

type DistillerWith<O> = OfflineDistiller<Net, Frozen<Net>, O>;

fn spoilt(epoch: usize, gradient: bool) -> DistillerWith<(CrossEntropyObjective, Spoilt)> {
    let objective = (CrossEntropyObjective::new(1.0), Spoilt { epoch, gradient });
    distiller(new_student(), &teacher(), objective)
}

/// A term that is 1, except on the validation samples of an epoch.
#[derive(Module, Debug)]
struct SpoiltOnValidation {
    epoch: usize,
    value: f64,
    weight: f64,
}

impl Objective for SpoiltOnValidation {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let logits = context.student.response.classes().unwrap();
        let one = logits.clone().mean().mul_scalar(0.0).add_scalar(1.0);
        // There are two batches of validation samples, but three of training samples.
        let breaks = context.clock.batches == 2 && context.clock.epoch == self.epoch;
        let value = if breaks { self.value } else { 1.0 };
        Terms::one("spoilt", one.mul_scalar(value), self.weight)
    }
}

/// A display that counts the epochs and shows nothing.
struct Count(Arc<AtomicUsize>);

impl EpochDisplay for Count {
    fn start(&mut self, _training: &TrainingTitle) {}

    fn epoch(&mut self, _epoch: usize, _metrics: &EpochMetrics) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Trains, and returns the number of epochs that ended.
fn train<O: Objective>(
    folder: &Path,
    epochs: usize,
    resume: bool,
    model: DistillerWith<O>,
) -> (Result<Trained<DistillerWith<O>>, TrainError>, usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let trained = Training::new(folder, &Device::default(), epochs)
        .with_resume(resume)
        .with_metrics([MetricKind::Loss, MetricKind::Accuracy])
        .with_renderer(Some(ByEpoch::renderer(Count(count.clone()))))
        .launch(model, &optimizer(), &rate(), loaders());
    (trained, count.load(Ordering::SeqCst))
}

fn error<T>(result: Result<T, TrainError>) -> (usize, NonFinite) {
    match result.err() {
        Some(TrainError::Diverged { epoch, term }) => (epoch, term),
        other => panic!("{other:?}"),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("checkpoint")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const LEFT: [&str; 5] = [
    "checkpoint.json",
    "diverged.json",
    "model-2.bpk",
    "optimizer-2.bpk",
    "scheduler-2.bpk",
];

#[test]
fn a_term_that_is_not_finite_ends_the_training_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();

    let (trained, epochs) = train(folder.path(), 6, false, spoilt(3, false));

    let message = trained.as_ref().err().unwrap().to_string();
    let expected = "diverged in epoch 3: the term `spoilt` of the loss became NaN or infinite";
    assert!(message.contains(expected), "{message}");
    assert_eq!(error(trained), (3, NonFinite::Term("spoilt".into())));
    assert_eq!(epochs, 3, "the epoch is the last one");
}

#[test]
fn a_loss_that_is_not_finite_only_in_validation_ends_the_training_too() {
    let term = || NonFinite::Term("spoilt".into());
    // The last value is finite, but not its product with the weight in single precision.
    let cases = [
        (f64::NAN, 0.1, term()),
        (f64::INFINITY, 0.1, term()),
        (1e30, 1e30, NonFinite::Loss),
    ];
    for (value, weight, expected) in cases {
        let model = || {
            let spoilt = SpoiltOnValidation {
                epoch: 3,
                value,
                weight,
            };
            distiller(
                new_student(),
                &teacher(),
                (CrossEntropyObjective::new(1.0), spoilt),
            )
        };
        // Also in the last epoch, after whose training steps the validation runs.
        for epochs in [3, 6] {
            let folder = tempfile::tempdir().unwrap();

            let (trained, shown) = train(folder.path(), epochs, false, model());

            assert_eq!(error(trained), (3, expected.clone()));
            assert_eq!(shown, 3);
            assert_eq!(files(folder.path()), LEFT);
            let text = fs::read_to_string(folder.path().join("history.csv")).unwrap();
            assert!(!text.contains("inf") && !text.contains("\n3,"), "{text}");

            let (trained, shown) = train(folder.path(), epochs, true, model());
            assert_eq!(error(trained), (3, expected.clone()));
            assert_eq!(shown, 0);
        }
    }
}

#[test]
fn a_diverged_training_keeps_its_last_good_checkpoint_and_its_history() {
    let folder = tempfile::tempdir().unwrap();

    train(folder.path(), 6, false, spoilt(3, false))
        .0
        .err()
        .unwrap();

    assert_eq!(files(folder.path()), LEFT);
    let text = fs::read_to_string(folder.path().join("history.csv")).unwrap();
    assert!(text.contains("\n2,valid,Accuracy,"), "{text}");
    assert!(!text.contains("\n3,") && !text.contains("NaN"), "{text}");
}

#[test]
fn weights_that_are_not_finite_after_the_last_step_of_an_epoch_are_not_saved() {
    for epochs in [3, 6] {
        let folder = tempfile::tempdir().unwrap();

        let (trained, _) = train(folder.path(), epochs, false, spoilt(3, true));

        let (epoch, term) = error(trained);
        assert_eq!(epoch, 3);
        let NonFinite::Weights(path) = term else {
            panic!("{term:?}");
        };
        assert!(path.starts_with("student."), "{path}");
        assert_eq!(files(folder.path()), LEFT);
    }
}

#[test]
fn a_resume_of_a_diverged_training_returns_the_same_error() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 6, false, spoilt(3, false))
        .0
        .err()
        .unwrap();

    for _ in 0..2 {
        let (trained, epochs) = train(folder.path(), 6, true, spoilt(3, false));
        assert_eq!(error(trained), (3, NonFinite::Term("spoilt".into())));
        assert_eq!(epochs, 0);
    }
    assert_eq!(files(folder.path()), LEFT);
}

#[test]
fn without_the_record_a_diverged_training_continues_from_its_last_good_checkpoint() {
    let [whole, broken] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let expected = train(whole.path(), 4, false, spoilt(0, false)).0.unwrap();
    train(broken.path(), 4, false, spoilt(3, false))
        .0
        .err()
        .unwrap();

    fs::remove_file(broken.path().join("checkpoint/diverged.json")).unwrap();
    let resumed = train(broken.path(), 4, true, spoilt(0, false)).0.unwrap();

    assert_eq!(tensors(&resumed.model), tensors(&expected.model));
}

#[test]
fn a_training_that_starts_anew_removes_the_record_of_a_divergence() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2, false, spoilt(1, false))
        .0
        .err()
        .unwrap();

    train(folder.path(), 2, false, spoilt(0, false)).0.unwrap();

    train(folder.path(), 2, true, spoilt(0, false)).0.unwrap();
}

#[test]
fn a_diverged_stage_is_reported_and_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut curriculum = quiet(folder.path());
        curriculum
            .run(stage("first", 2), spoilt(0, false), loaders())
            .unwrap();

        let result = curriculum.run(stage("second", 4), spoilt(2, false), loaders());

        let error = result.unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("stage `second`: the training diverged in epoch 2"),
            "{message}"
        );
        let CurriculumError::Training { source, .. } = error else {
            panic!("{message}");
        };
        assert!(matches!(*source, TrainError::Diverged { epoch: 2, .. }));
        assert!(!folder.path().join("second/student.bpk").exists());
    }
}

/// Returns a network with one given weight.
fn with_bias(value: f32) -> Net {
    let mut net = new_student().valid();
    let bias = net.classifier.bias.take().unwrap();
    net.classifier.bias = Some(bias.map(|bias| bias.full_like(value)));
    net
}

#[test]
fn weights_that_are_not_finite_are_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let mut curriculum = quiet(folder.path());
    let model = spoilt(0, false);
    curriculum.run(stage("first", 1), model, loaders()).unwrap();
    let path = folder.path().join("first/student.bpk");
    let broken = distiller(
        with_bias(f32::NAN),
        &teacher(),
        CrossEntropyObjective::new(1.0),
    );
    let (_, record) = broken.artifacts().into_iter().next().unwrap();
    record.save(&path).unwrap();

    let error = curriculum.load("student", &new_student()).unwrap_err();

    let message = error.to_string();
    let expected = "its tensor `classifier.bias` holds NaN or infinite values";
    assert!(
        message.contains("student.bpk") && message.contains(expected),
        "{message}"
    );
}

#[test]
fn predictions_from_logits_that_are_not_finite_are_an_error() {
    let device = Device::default();
    let loader = loaders().1.device(&device);
    let of = |bias| Predictions::of(&with_bias(bias), &loader);

    assert!(of(f32::NEG_INFINITY).is_ok(), "a class may be excluded");
    for bias in [f32::NAN, f32::INFINITY] {
        assert_eq!(
            non_finite_weights(&with_bias(bias)).as_deref(),
            Some("classifier.bias")
        );
        let error = of(bias).unwrap_err();
        assert!(
            matches!(
                error,
                EvaluationError::NotFinite {
                    samples: 32,
                    all: 32
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_history_holds_only_finite_values() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2, false, spoilt(0, false)).0.unwrap();

    let history = History::up_to(folder.path().join("history.csv"), 2).unwrap();

    for split in [Split::Train, Split::Valid] {
        assert_eq!(history.at(2, &split).len(), 2);
    }
}
