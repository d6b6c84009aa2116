use crate::{LearningRateConfig, MetricKind, OptimizerConfig, TeacherIdentity, Training};
use burn::module::ParamGroup;
use burn::tensor::Device;
use burn::train::LearnerModel;
use std::path::Path;

/// One stage of a [`Curriculum`](crate::Curriculum): a training with a name, an optimizer and a
/// schedule of its own.
#[derive(Clone, Debug)]
pub struct Stage {
    pub(super) name: String,
    pub(super) epochs: usize,
    pub(super) optimizer: OptimizerConfig,
    pub(super) rate: LearningRateConfig,
    pub(super) trains: Option<ParamGroup>,
    patience: Option<usize>,
    teacher: Option<TeacherIdentity>,
    metrics: Option<Vec<MetricKind>>,
}

impl Stage {
    /// A stage of so many epochs. Its name is that of its folder too.
    pub fn new(name: impl Into<String>, epochs: usize) -> Self {
        Self {
            name: name.into(),
            epochs,
            optimizer: OptimizerConfig::default(),
            rate: LearningRateConfig::default(),
            trains: None,
            patience: None,
            teacher: None,
            metrics: None,
        }
    }

    /// Train with that optimizer. It begins anew: no momentum comes from an earlier stage.
    pub fn with_optimizer(mut self, optimizer: OptimizerConfig) -> Self {
        self.optimizer = optimizer;
        self
    }

    /// Train with that learning rate. Its schedule begins with the stage.
    pub fn with_learning_rate(mut self, rate: LearningRateConfig) -> Self {
        self.rate = rate;
        self
    }

    /// Train only these parameters of the model; the rest is frozen, running statistics too.
    ///
    /// Paths start at the distiller: `student.layer1.weight`. Default: whatever the loss reaches.
    /// A parameter that it does not reach is not moved, neither by momentum nor by weight decay:
    /// the classifier stays as it is in a stage of hints. Only what a loss reaches with a gradient
    /// of zero, such as that of a term with a weight of zero, is moved by weight decay.
    ///
    /// To train the objective alone, make the student a
    /// [`Frozen`](burn_distill_core::Frozen) one: that keeps it in validation mode.
    pub fn with_trains(mut self, group: ParamGroup) -> Self {
        self.trains = Some(group);
        self
    }

    /// End when the validation accuracy has not improved for that many epochs.
    pub fn with_patience(mut self, epochs: Option<usize>) -> Self {
        self.patience = epochs;
        self
    }

    /// The teacher that the checkpoints of the stage belong to.
    pub fn with_teacher(mut self, teacher: Option<TeacherIdentity>) -> Self {
        self.teacher = teacher;
        self
    }

    /// What to show. Default: the loss and the accuracy.
    pub fn with_metrics(mut self, metrics: impl IntoIterator<Item = MetricKind>) -> Self {
        self.metrics = Some(metrics.into_iter().collect());
        self
    }

    /// Its training, in a folder.
    pub(super) fn training<M: LearnerModel>(&self, folder: &Path, device: &Device) -> Training<M> {
        let training = Training::new(folder, device, self.epochs)
            .with_patience(self.patience)
            .with_teacher(self.teacher.clone());
        match &self.metrics {
            Some(metrics) => training.with_metrics(metrics.iter().cloned()),
            None => training,
        }
    }
}
