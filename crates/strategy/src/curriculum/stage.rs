use crate::{LearningRateConfig, MetricKind, OptimizerConfig, TeacherIdentity, Training};
use burn::module::ParamGroup;
use burn::tensor::Device;
use burn::train::LearnerModel;
use std::path::Path;

/// One stage of a [`Curriculum`](crate::Curriculum): a training with its name, optimizer and
/// schedule.
#[derive(Clone, Debug)]
pub struct Stage {
    pub(super) name: String,
    pub(super) epochs: usize,
    pub(super) optimizer: OptimizerConfig,
    pub(super) rate: LearningRateConfig,
    pub(super) trains: Option<ParamGroup>,
    patience: Option<usize>,
    best_epoch: bool,
    teacher: Option<TeacherIdentity>,
    metrics: Option<Vec<MetricKind>>,
}

impl Stage {
    /// Creates a stage from a name, which is also the name of its folder, and a number of epochs.
    pub fn new(name: impl Into<String>, epochs: usize) -> Self {
        Self {
            name: name.into(),
            epochs,
            optimizer: OptimizerConfig::default(),
            rate: LearningRateConfig::default(),
            trains: None,
            patience: None,
            best_epoch: false,
            teacher: None,
            metrics: None,
        }
    }

    /// Sets the number of epochs.
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the optimizer. Its state starts empty, without the momentum of an earlier stage.
    pub fn with_optimizer(mut self, optimizer: OptimizerConfig) -> Self {
        self.optimizer = optimizer;
        self
    }

    /// Sets the learning rate, whose schedule starts with the stage.
    pub fn with_learning_rate(mut self, rate: LearningRateConfig) -> Self {
        self.rate = rate;
        self
    }

    /// Sets the parameters of the model that are trained. All others are frozen, including running
    /// statistics.
    ///
    /// Paths start at the distiller: `student.layer1.weight`. Default: all parameters that the loss
    /// depends on. A parameter that it does not depend on does not change, neither by momentum nor
    /// by weight decay: a stage of hints leaves the classifier as it is. A parameter with a
    /// gradient of zero, such as that of a term with a weight of zero, is changed by weight decay.
    ///
    /// To train only the objective, use a [`Frozen`](burn_distill_core::Frozen) student, which
    /// stays in validation mode.
    pub fn with_trains(mut self, group: ParamGroup) -> Self {
        self.trains = Some(group);
        self
    }

    /// Ends the stage when the validation accuracy has not improved for a number of epochs.
    /// Default: never.
    pub fn with_patience(mut self, epochs: Option<usize>) -> Self {
        self.patience = epochs;
        self
    }

    /// Sets whether the saved modules are those of the [epoch with the highest validation
    /// accuracy](Training::with_best_epoch) instead of the last epoch. Default: `false`.
    pub fn with_best_epoch(mut self, best_epoch: bool) -> Self {
        self.best_epoch = best_epoch;
        self
    }

    /// Sets the teacher that the checkpoints of the stage belong to.
    pub fn with_teacher(mut self, teacher: Option<TeacherIdentity>) -> Self {
        self.teacher = teacher;
        self
    }

    /// Sets the metrics that are computed and shown. Default: the loss and the accuracy.
    pub fn with_metrics(mut self, metrics: impl IntoIterator<Item = MetricKind>) -> Self {
        self.metrics = Some(metrics.into_iter().collect());
        self
    }

    /// Creates the training of the stage in a folder.
    pub(super) fn training<M: LearnerModel>(&self, folder: &Path, device: &Device) -> Training<M> {
        let training = Training::new(folder, device, self.epochs)
            .with_patience(self.patience)
            .with_best_epoch(self.best_epoch)
            .with_teacher(self.teacher.clone());
        match &self.metrics {
            Some(metrics) => training.with_metrics(metrics.iter().cloned()),
            None => training,
        }
    }
}
