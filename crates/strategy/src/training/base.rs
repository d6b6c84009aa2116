use super::best::BestEpochs;
use super::checkpoint::{Diverged, EveryEpoch, Part};
use super::file::{load_module, remove_partials};
use super::{
    CheckpointError, CheckpointFolder, Divergence, History, NonFinite, Patience, Snapshots,
    TeacherIdentity,
};
use crate::{
    ByEpoch, DistillationMetric, Distiller, EpochLoader, IntoScheduler, Lines, MetricKind,
};
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use burn::train::metric::store::EventStoreClient;
use burn::train::metric::{Adaptor, Metric, Numeric};
use burn::train::renderer::MetricsRenderer;
use burn::train::{
    EarlyStoppingStrategy, ExecutionStrategy, InferenceStep, Interrupter, Learner, LearnerModel,
    SupervisedTraining, TrainStep, TrainingError,
};
use burn_distill_core::Input;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// A training with checkpoints, from its first epoch or its last checkpoint to its last epoch.
///
/// It runs burn's `SupervisedTraining` with additions for a distillation: metrics of the loss, its
/// terms and the agreement with the teacher, checkpoints that are complete or absent, a history
/// that survives a resume, and a stop on request that can be resumed. It takes burn's optimizers,
/// learning rate schedulers, metrics and data loaders. A distiller is a `LearnerModel`, so use
/// `SupervisedTraining` directly where this is not enough.
///
/// By default it shows the loss and the accuracy. The terms of a loss are known only once it is
/// computed, so a term is shown only if [`with_metrics`](Self::with_metrics) names it.
///
/// ```no_run
/// use burn::optim::AdamConfig;
/// use burn::tensor::{Device, Tensor};
/// use burn::train::metric::AccuracyMetric;
/// use burn_distill_core::{Frozen, Network, Objective};
/// use burn_distill_data::{BatchLoader, digits};
/// use burn_distill_strategy::{MetricKind, OfflineDistiller, TrainError, Training};
///
/// fn distill<N: Network<Input = Tensor<4>>>(
///     student: N,
///     teacher: N,
///     objective: impl Objective,
/// ) -> Result<N, TrainError> {
///     let train = BatchLoader::new(digits(), 64).shuffle(0);
///     let valid = BatchLoader::new(digits(), 256);
///     let distiller = OfflineDistiller::new(student, Frozen::new(teacher), objective);
///     let trained = Training::new("runs/mine", &Device::default(), 20)
///         .with_metrics([MetricKind::Loss, MetricKind::Term("soft-target".into())])
///         .with_burn_metric(AccuracyMetric::new())
///         .with_resume(true)
///         .launch(distiller, AdamConfig::new().init(), 1e-3, (train, valid))?;
///     Ok(trained.model.student)
/// }
/// ```
pub struct Training<M: LearnerModel> {
    folder: PathBuf,
    device: Device,
    epochs: usize,
    label: Option<String>,
    resume: bool,
    patience: Option<usize>,
    teacher: Option<TeacherIdentity>,
    metrics: Vec<MetricKind>,
    snapshots: BTreeSet<usize>,
    best_epoch: bool,
    interrupter: Interrupter,
    renderer: Option<Box<dyn MetricsRenderer>>,
    burn_metrics: Vec<AddMetric<M>>,
}

/// A function that adds a metric to training and validation.
type AddMetric<M> = Box<dyn FnOnce(SupervisedTraining<M>) -> SupervisedTraining<M>>;

/// The result of a training.
pub struct Trained<M> {
    /// Trained model, in validation mode: that of the last epoch, or of the
    /// [best](Training::with_best_epoch) one.
    pub model: M,
    /// Last finished epoch, counted from 1, after which a resume continues.
    pub epoch: usize,
    /// Whether the training was stopped on request before its end, so that it can be resumed.
    pub stopped: bool,
    /// Display of the training, for the next training of the same program.
    pub renderer: Box<dyn MetricsRenderer>,
}

/// The reason why a training failed.
#[derive(thiserror::Error)]
pub enum TrainError {
    /// The checkpoints cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The training stopped at an error, such as one of the data.
    #[error("the training stopped at an error: {0}")]
    Training(Arc<TrainingError>),
    /// A term of the loss, or a weight, became NaN or infinite.
    #[error(
        "the training diverged in epoch {epoch}: {term} became NaN or infinite; train again with a \
         lower learning rate or clipped gradients"
    )]
    Diverged {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Term or tensor that became NaN or infinite first.
        term: NonFinite,
    },
}

burn_distill_core::debug_as_display!(TrainError);

impl<M: LearnerModel> Training<M> {
    /// Creates a training that keeps its files in `folder` and runs on `device`.
    pub fn new(folder: impl Into<PathBuf>, device: &Device, epochs: usize) -> Self {
        Self {
            folder: folder.into(),
            device: device.clone(),
            epochs,
            label: None,
            resume: false,
            patience: None,
            teacher: None,
            metrics: vec![MetricKind::Loss, MetricKind::Accuracy],
            snapshots: BTreeSet::new(),
            best_epoch: false,
            interrupter: Interrupter::new(),
            renderer: None,
            burn_metrics: Vec::new(),
        }
    }

    /// Sets the name under which the training is displayed.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets whether to continue from the last checkpoint in the folder, if there is one. Otherwise
    /// the training starts again and deletes the checkpoints. Default: false.
    pub fn with_resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Ends the training when the validation accuracy has not improved for a number of epochs.
    /// Default: never.
    pub fn with_patience(mut self, epochs: Option<usize>) -> Self {
        self.patience = epochs;
        self
    }

    /// Sets the teacher that the checkpoints belong to: a resume with another one is refused.
    pub fn with_teacher(mut self, teacher: Option<TeacherIdentity>) -> Self {
        self.teacher = teacher;
        self
    }

    /// Sets the metrics of the distillation that are computed and shown, such as
    /// `MetricKind::Term("hint".into())` for a term of the loss. Default: the loss and the
    /// accuracy.
    pub fn with_metrics(mut self, metrics: impl IntoIterator<Item = MetricKind>) -> Self {
        self.metrics = metrics.into_iter().collect();
        self
    }

    /// Keeps a copy of the model after each of these epochs, counted from 1, which [`Snapshots`]
    /// loads.
    pub fn with_snapshots(mut self, epochs: impl IntoIterator<Item = usize>) -> Self {
        self.snapshots = epochs.into_iter().collect();
        self
    }

    /// Sets whether the trained model is that of the epoch with the highest validation accuracy,
    /// the first of equal ones, instead of that of the last epoch. Default: `false`.
    ///
    /// Without labels the agreement with the teacher takes the place of the accuracy. The metric
    /// has to be among those of the [training](Self::with_metrics): without any, the last epoch
    /// counts. The best model so far is kept as a [snapshot](Snapshots), also over a resume.
    pub fn with_best_epoch(mut self, best_epoch: bool) -> Self {
        self.best_epoch = best_epoch;
        self
    }

    /// Sets the handle that stops the training on request.
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.interrupter = interrupter;
        self
    }

    /// Sets the display. Default: a few [lines](Lines).
    pub fn with_renderer(mut self, renderer: Option<Box<dyn MetricsRenderer>>) -> Self {
        self.renderer = renderer;
        self
    }

    /// Adds a metric of burn for training and validation, in addition to the [metrics of the
    /// distillation](Self::with_metrics).
    pub fn with_burn_metric<Me>(mut self, metric: Me) -> Self
    where
        Me: Metric + Numeric + Clone + 'static,
        <M as TrainStep>::Output: Adaptor<Me::Input>,
        <M as InferenceStep>::Output: Adaptor<Me::Input>,
    {
        self.burn_metrics.push(Box::new(|training| {
            let training = training.metric_train_numeric(metric.clone());
            training.metric_valid_numeric(metric)
        }));
        self
    }

    /// Trains the model on the first of two data loaders, and validates it on the second.
    ///
    /// The optimizer is one of burn or an [`OptimizerConfig`](crate::OptimizerConfig). The learning
    /// rate is a number, a scheduler of burn or a
    /// [`LearningRateConfig`](crate::LearningRateConfig).
    ///
    /// A training whose loss or weights become NaN or infinite, on the training or the validation
    /// data, ends after the epoch and keeps the checkpoint of the previous epoch. A resume returns
    /// the same error, unless the file `checkpoint/diverged.json` is removed: then it continues
    /// from that checkpoint.
    ///
    /// Partially written files of a killed program are removed from the folder.
    ///
    /// # Errors
    ///
    /// Returns an error if a checkpoint cannot be read, does not fit or cannot be written, or if
    /// the data cannot be loaded; and [`TrainError::Diverged`] if the loss or the weights became
    /// NaN or infinite.
    pub fn launch<I>(
        self,
        model: M,
        optimizer: impl Into<ModuleOptimizer>,
        learning_rate: impl IntoScheduler,
        (train, valid): (impl EpochLoader<I>, impl EpochLoader<I>),
    ) -> Result<Trained<M>, TrainError>
    where
        I: Input,
        M: Distiller<I>,
    {
        let snapshots = Snapshots::folder(&self.folder);
        for folder in [&self.folder, &self.folder.join("checkpoint"), &snapshots] {
            remove_partials(folder).map_err(|source| CheckpointError::Io {
                path: folder.clone(),
                source,
            })?;
        }
        let history = self.folder.join("history.csv");
        let divergence = Divergence::default();
        let checkpoints = CheckpointFolder::new(self.folder.join("checkpoint"), self.teacher)?
            .with_history(history.clone())
            .reporting_to(divergence.clone());
        let finished = if self.resume {
            finished(&model, &checkpoints)?
        } else {
            if let Ok(Some(manifest)) = checkpoints.manifest() {
                log::warn!(
                    "{}: the training in this folder, of {} epochs, is deleted, and a new one starts; \
                     `with_resume(true)` continues the training",
                    self.folder.display(),
                    manifest.epoch
                );
            }
            checkpoints.clear()?;
            Snapshots::clear(&snapshots)?;
            0
        };
        if finished > 0 {
            log::info!(
                "{}: the training continues after epoch {finished} of {}",
                self.folder.display(),
                self.epochs
            );
        }
        let best = self.best_epoch.then(BestEpochs::default);
        let checkpoints = checkpoints
            .with_snapshots(snapshots.clone(), self.snapshots)
            .with_best(best.clone());

        let history = History::up_to(&history, finished).map_err(|source| CheckpointError::Io {
            path: history,
            source,
        })?;
        if let Some(best) = &best {
            best.load(&history, finished);
            let removed = checkpoints.remove_later(finished);
            let removed = removed.and_then(|()| checkpoints.remove_surpassed(finished));
            removed.map_err(|source| CheckpointError::Io {
                path: snapshots,
                source,
            })?;
        }
        let patience = self.patience.map(Patience::new);
        if let Some(patience) = &patience {
            patience.load(&history, finished);
        }
        let has_ended = |epoch| epoch >= self.epochs || is_exhausted(&patience);
        // A training that has ended is loaded, and trains no further epoch.
        let epochs = if has_ended(finished) {
            finished
        } else {
            self.epochs
        };
        let learner = Learner::new(
            // A model without autodiff, or in validation mode after another training, would have no
            // gradients.
            model.train(),
            optimizer.into(),
            learning_rate.into_scheduler(self.epochs, || train.num_batches()),
        );
        let execution = ExecutionStrategy::single(self.device.clone());

        let (train, valid) = (
            train.starting_from(finished + 1),
            valid.starting_from(finished + 1),
        );
        let mut training = SupervisedTraining::new(&self.folder, train, valid)
            .num_epochs(epochs)
            .with_training_strategy(execution.into())
            .with_metric_logger(history)
            .with_application_logger(None)
            .with_interrupter(self.interrupter)
            .with_checkpointing_strategy(EveryEpoch {
                divergence: divergence.clone(),
                best: best.clone(),
            })
            .with_custom_checkpointers(
                checkpoints.part(Part::Model),
                checkpoints.part(Part::Optimizer),
                checkpoints.part(Part::Scheduler),
            );
        for metric in self.metrics {
            let metric = DistillationMetric::new(metric);
            training = training
                .metric_train_numeric(metric.clone().reporting_to(divergence.clone()))
                .metric_valid_numeric(metric.reporting_to(divergence.on_validation()));
        }
        for add in self.burn_metrics {
            training = add(training);
        }
        if finished > 0 {
            training = training.checkpoint(finished);
        }
        training = training.early_stopping(End {
            divergence: divergence.clone(),
            patience: patience.clone(),
        });
        if let Some(label) = &self.label {
            training = training.label(label);
        }
        let renderer = self
            .renderer
            .unwrap_or_else(|| ByEpoch::renderer(Lines::default()));

        let result = training.renderer(renderer).launch(learner);
        // Not from the result: burn's dashboard does not report that it was stopped.
        let epoch = checkpoints.manifest()?.map_or(0, |manifest| manifest.epoch);
        if let Some(term) = divergence.of(&result.model) {
            let diverged = Diverged {
                epoch: epoch + 1,
                term,
            };
            checkpoints.end_diverged(&diverged)?;
            return Err(diverged.into());
        }
        if let Some(error) = result.error {
            return Err(TrainError::Training(error));
        }
        let stopped = !has_ended(epoch);
        if stopped {
            log::info!(
                "{}: the training was stopped after epoch {epoch} of {}; `with_resume(true)` continues \
                 it",
                self.folder.display(),
                self.epochs
            );
        }
        let best = best.filter(|_| !stopped).and_then(|best| best.up_to(epoch));
        let model = match best {
            Some(best) if best < epoch => Snapshots::of(&self.folder)?.load(best, &result.model)?,
            _ => result.model,
        };
        Ok(Trained {
            model,
            epoch,
            stopped,
            renderer: result.renderer,
        })
    }
}

impl From<Diverged> for TrainError {
    fn from(Diverged { epoch, term }: Diverged) -> Self {
        Self::Diverged { epoch, term }
    }
}

/// The condition that ends a training: it has diverged, or no longer improves.
#[derive(Clone)]
struct End {
    divergence: Divergence,
    patience: Option<Patience>,
}

impl EarlyStoppingStrategy for End {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        let patience = self.patience.as_mut();
        self.divergence.get().is_some() || patience.is_some_and(|p| p.should_stop(epoch, store))
    }
}

fn is_exhausted(patience: &Option<Patience>) -> bool {
    patience.as_ref().is_some_and(Patience::is_exhausted)
}

/// Returns the last finished epoch of a training to resume, after checking that its checkpoint is
/// complete and fits the model.
fn finished<M: LearnerModel>(
    model: &M,
    checkpoints: &CheckpointFolder,
) -> Result<usize, TrainError> {
    if let Some(diverged) = checkpoints.diverged()? {
        return Err(diverged.into());
    }
    let Some(manifest) = checkpoints.manifest()? else {
        return Ok(0);
    };
    checkpoints.verify(&manifest)?;
    check_fit(model, checkpoints, manifest.epoch)?;
    Ok(manifest.epoch)
}

/// Checks that a record fits the model, since burn panics when it loads one that does not.
fn check_fit<M: LearnerModel>(
    model: &M,
    checkpoints: &CheckpointFolder,
    epoch: usize,
) -> Result<(), CheckpointError> {
    let path = checkpoints.path(Part::Model, epoch);
    load_module(&path, model)
        .map(|_| ())
        .map_err(|message| CheckpointError::Record { path, message })
}
