use super::checkpoint::{EveryEpoch, Part};
use super::file::load_module;
use super::{CheckpointError, CheckpointFolder, History, Patience, Snapshots, TeacherIdentity};
use crate::{ByEpoch, Distiller, Figure, FigureMetric, LearningRateConfig, Lines, OptimizerConfig};
use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use burn::train::renderer::MetricsRenderer;
use burn::train::{
    ExecutionStrategy, Interrupter, Learner, LearnerModel, SupervisedTraining, TrainingError,
};
use burn_distill_core::{Batch, Input};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// One training, from its first epoch or its last checkpoint to its last epoch.
///
/// This is burn's `SupervisedTraining` with what a distillation needs around it: metrics of each
/// figure, checkpoints that are whole or not there, a history that survives a resume, and a stop
/// that can be resumed. Whoever needs more uses `SupervisedTraining` itself: a distiller is a
/// `LearnerModel`.
pub struct Training {
    folder: PathBuf,
    device: Device,
    epochs: usize,
    label: Option<String>,
    resume: bool,
    patience: Option<usize>,
    teacher: Option<TeacherIdentity>,
    figures: Vec<Figure>,
    snapshots: BTreeSet<usize>,
    interrupter: Interrupter,
    renderer: Option<Box<dyn MetricsRenderer>>,
}

/// The data of a training.
pub struct Loaders<I> {
    /// The training data.
    pub train: LoaderFrom<I>,
    /// The number of batches in an epoch of training.
    pub steps_per_epoch: usize,
    /// The data that metrics are also shown on, and early stopping looks at.
    pub valid: LoaderFrom<I>,
}

/// Makes a loader, given the epoch that it starts with, from 1: a training that is resumed goes on
/// with the samples, and with the weights of terms, of the epoch it was stopped in.
pub type LoaderFrom<I> = Box<dyn FnOnce(usize) -> Arc<dyn DataLoader<Batch<I>>>>;

/// What a training leaves.
pub struct Trained<M> {
    /// The model, in validation mode.
    pub model: M,
    /// The last finished epoch, counted from 1; what a resume goes on from.
    pub epoch: usize,
    /// Whether it was stopped on request before its end. It can be resumed then.
    pub stopped: bool,
    /// The display, for the next training of the same command.
    pub renderer: Box<dyn MetricsRenderer>,
}

/// Why a training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Its checkpoints cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It broke off.
    #[error("the training broke off: {0}")]
    Training(Arc<TrainingError>),
}

impl Training {
    /// A training that keeps its files in `folder` and runs on `device`.
    pub fn new(folder: impl Into<PathBuf>, device: &Device, epochs: usize) -> Self {
        Self {
            folder: folder.into(),
            device: device.clone(),
            epochs,
            label: None,
            resume: false,
            patience: None,
            teacher: None,
            figures: vec![Figure::Loss, Figure::Accuracy],
            snapshots: BTreeSet::new(),
            interrupter: Interrupter::new(),
            renderer: None,
        }
    }

    /// The name under which it is displayed.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Whether to go on from the last checkpoint of the folder, if there is one. Otherwise the
    /// training starts anew and forgets them.
    pub fn with_resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Stop when the validation accuracy has not improved for that many epochs.
    pub fn with_patience(mut self, epochs: Option<usize>) -> Self {
        self.patience = epochs;
        self
    }

    /// The teacher that checkpoints belong to.
    pub fn with_teacher(mut self, teacher: Option<TeacherIdentity>) -> Self {
        self.teacher = teacher;
        self
    }

    /// What to show. Default: the loss and the accuracy.
    pub fn with_figures(mut self, figures: impl IntoIterator<Item = Figure>) -> Self {
        self.figures = figures.into_iter().collect();
        self
    }

    /// Keep the model as it is after each of these epochs, counted from 1. [`Snapshots`] loads it.
    pub fn with_snapshots(mut self, epochs: impl IntoIterator<Item = usize>) -> Self {
        self.snapshots = epochs.into_iter().collect();
        self
    }

    /// The handle that stops the training on request.
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.interrupter = interrupter;
        self
    }

    /// The display. Default: a few [lines](Lines).
    pub fn with_renderer(mut self, renderer: Option<Box<dyn MetricsRenderer>>) -> Self {
        self.renderer = renderer;
        self
    }

    /// Train.
    ///
    /// # Errors
    ///
    /// Returns an error if a checkpoint cannot be read, does not fit or cannot be written, or if the
    /// data cannot be loaded.
    pub fn launch<M, I>(
        self,
        model: M,
        optimizer: &OptimizerConfig,
        rate: &LearningRateConfig,
        loaders: Loaders<I>,
    ) -> Result<Trained<M>, TrainError>
    where
        I: Input,
        M: Distiller<I>,
    {
        let snapshots = Snapshots::folder(&self.folder);
        let checkpoints = CheckpointFolder::new(self.folder.join("checkpoint"), self.teacher)?;
        let finished = if self.resume {
            checkpoints.manifest()?.map_or(0, |manifest| manifest.epoch)
        } else {
            checkpoints.clear()?;
            Snapshots::clear(&snapshots)?;
            0
        };
        let checkpoints = checkpoints.with_snapshots(snapshots, self.snapshots);
        if finished > 0 {
            check_fit(&model, &checkpoints, finished)?;
        }

        let history = self.folder.join("history.csv");
        let history = History::up_to(&history, finished).map_err(|source| CheckpointError::Io {
            path: history,
            source,
        })?;
        let learner = Learner::new(
            // A model that was built without autodiff, or that a training has left in validation
            // mode, has no gradients until this.
            model.train(),
            optimizer.init(),
            rate.init(self.epochs, loaders.steps_per_epoch),
        );
        let execution = ExecutionStrategy::single(self.device.clone());

        let train = (loaders.train)(finished + 1);
        let valid = (loaders.valid)(finished + 1);
        let mut training = SupervisedTraining::new(&self.folder, train, valid)
            .num_epochs(self.epochs)
            .with_training_strategy(execution.into())
            .with_metric_logger(history)
            .with_application_logger(None)
            .with_interrupter(self.interrupter)
            .with_checkpointing_strategy(EveryEpoch)
            .with_custom_checkpointers(
                checkpoints.part(Part::Model),
                checkpoints.part(Part::Optimizer),
                checkpoints.part(Part::Scheduler),
            );
        for figure in self.figures {
            let metric = FigureMetric::new(figure);
            training = training
                .metric_train_numeric(metric.clone())
                .metric_valid_numeric(metric);
        }
        if finished > 0 {
            training = training.checkpoint(finished);
        }
        let patience = self.patience.map(Patience::new);
        if let Some(patience) = &patience {
            training = training.early_stopping(patience.clone());
        }
        if let Some(label) = &self.label {
            training = training.label(label);
        }
        let renderer = self
            .renderer
            .unwrap_or_else(|| ByEpoch::renderer(Lines::default()));

        let result = training.renderer(renderer).launch(learner);
        if let Some(error) = result.error {
            return Err(TrainError::Training(error));
        }
        // Not from the result: burn's dashboard forgets that it was told to stop.
        let epoch = checkpoints.manifest()?.map_or(0, |manifest| manifest.epoch);
        let ended = epoch >= self.epochs || patience.is_some_and(|p| p.is_exhausted());
        Ok(Trained {
            model: result.model,
            epoch,
            stopped: !ended,
            renderer: result.renderer,
        })
    }
}

/// Check that the model's record fits before burn loads it, which panics if it does not.
fn check_fit<M: LearnerModel>(
    model: &M,
    checkpoints: &CheckpointFolder,
    epoch: usize,
) -> Result<(), CheckpointError> {
    let path = checkpoints.path(Part::Model, epoch);
    load_module(&path, model)
        .map(|_| ())
        .map_err(|error| CheckpointError::Record {
            path,
            message: error.to_string(),
        })
}
