use crate::{ExemplarBudget, FisherConfig, IcarlObjective};
use burn_distill_core::{
    Check, ConfigError, CrossEntropyObjective, DynObjective, Knowledge, NewClassCrossEntropy,
    WeightSchedule, check,
};

/// Method by which a network learns a task after others.
#[derive(Clone, Debug)]
pub enum TaskMethod {
    /// The cross-entropy of the task alone: the lower bound, which forgets.
    FineTuning,
    /// The cross-entropy of all samples of this task and the earlier ones: the upper bound, which
    /// needs them all.
    Joint,
    /// The cross-entropy of the task, and an objective between the network and its copy from before
    /// the task, over the [old classes](burn_distill_core::OldClasses): learning without forgetting
    /// (LwF) with a soft cross-entropy. The objective has no parameters.
    Distillation(DynObjective),
    /// The cross-entropy of the task, and a penalty for changes of important parameters: elastic
    /// weight consolidation (EWC).
    Elastic(ElasticConfig),
    /// The objective of iCaRL, whose classes are predicted by the nearest mean of their exemplars.
    Icarl(IcarlObjective),
}

/// Configuration of elastic weight consolidation (EWC) over several tasks.
///
/// The defaults are those of FACIL.
#[derive(burn::config::Config, Debug)]
pub struct ElasticConfig {
    /// Weight of the penalty. Default: `5000.0`.
    #[config(default = "WeightSchedule::Constant(5000.0)")]
    pub weight: WeightSchedule,
    /// Share of the earlier importance after a task. From 0 to 1. Default: `0.5`.
    #[config(default = 0.5)]
    pub decay: f64,
    /// Fisher information of a task. Default: that of FACIL.
    #[config(default = "FisherConfig::new()")]
    pub fisher: FisherConfig,
}

impl Check for ElasticConfig {
    fn check(&self) -> Result<(), ConfigError> {
        self.weight.check().map_err(|error| error.under("weight"))?;
        check::in_range("decay", self.decay, 0.0..=1.0)?;
        self.fisher.check().map_err(|error| error.under("fisher"))
    }
}

/// Plan by which a network learns tasks one after another.
///
/// # Example
///
/// ```
/// use burn_distill_strategy::{ExemplarBudget, IcarlObjectiveConfig, TaskMethod, TaskPlan};
///
/// let icarl = TaskMethod::Icarl(IcarlObjectiveConfig::new().init());
/// let plan = TaskPlan::new(icarl).with_exemplars(Some(ExemplarBudget::Total(2000)));
/// ```
#[derive(Clone, Debug)]
pub struct TaskPlan {
    /// Method.
    pub method: TaskMethod,
    /// Number of samples of earlier tasks that are learned again with each task; none without it.
    pub exemplars: Option<ExemplarBudget>,
    /// Whether the heads of earlier tasks are [excluded][with_frozen_old_heads] from the training
    /// of later ones.
    ///
    /// [with_frozen_old_heads]: burn_distill_architecture::GrowingNetwork::with_frozen_old_heads
    pub freeze_old_heads: bool,
    /// Whether the running statistics of normalization layers [stay][with_fixed_statistics] those
    /// of the first task.
    ///
    /// [with_fixed_statistics]: burn_distill_architecture::GrowingNetwork::with_fixed_statistics
    pub fix_statistics: bool,
    /// Number of epochs in which only the new head learns, before each task but the first: the
    /// warm-up of the authors of learning without forgetting.
    pub warm_up: usize,
}

impl TaskPlan {
    /// Creates a plan without exemplars, in which all parameters learn.
    pub fn new(method: TaskMethod) -> Self {
        Self {
            method,
            exemplars: None,
            freeze_old_heads: false,
            fix_statistics: false,
            warm_up: 0,
        }
    }

    /// Sets the number of samples of earlier tasks that are learned again.
    ///
    /// The labels are then learned by the cross-entropy over all classes.
    pub fn with_exemplars(mut self, exemplars: Option<ExemplarBudget>) -> Self {
        self.exemplars = exemplars;
        self
    }

    /// Sets whether the heads of earlier tasks are excluded from the training of later ones.
    pub fn with_frozen_old_heads(mut self, freeze: bool) -> Self {
        self.freeze_old_heads = freeze;
        self
    }

    /// Sets whether the running statistics stay those of the first task.
    pub fn with_fixed_statistics(mut self, fix: bool) -> Self {
        self.fix_statistics = fix;
        self
    }

    /// Sets the number of epochs in which only the new head learns, before each task but the first.
    /// They are a [stage](crate::Stage) of their own.
    pub fn with_warm_up(mut self, epochs: usize) -> Self {
        self.warm_up = epochs;
        self
    }

    /// Returns whether samples of earlier tasks are learned again.
    pub(super) fn learns_old_samples(&self) -> bool {
        self.exemplars.is_some() || matches!(self.method, TaskMethod::Joint)
    }

    /// Returns the objective of the labels of a task after this number of classes.
    pub(super) fn labels<T: 'static>(&self, old_classes: usize) -> DynObjective<Knowledge, T> {
        match self.learns_old_samples() {
            true => DynObjective::new(CrossEntropyObjective::new(1.0)),
            false => DynObjective::new(NewClassCrossEntropy::new(1.0, old_classes)),
        }
    }
}

impl Check for TaskPlan {
    fn check(&self) -> Result<(), ConfigError> {
        match self.exemplars {
            Some(ExemplarBudget::Total(count) | ExemplarBudget::PerClass(count)) => {
                check::at_least("exemplars", count, 1)?;
            }
            None => check::ensure(
                !matches!(self.method, TaskMethod::Icarl(_)),
                "exemplars",
                "a number of samples (the classes are predicted by their means)",
                "missing",
            )?,
        }
        check::ensure(
            !(self.freeze_old_heads && self.learns_old_samples()),
            "freeze_old_heads",
            "false where samples of earlier tasks are learned again",
            self.freeze_old_heads,
        )?;
        match &self.method {
            TaskMethod::Elastic(elastic) => elastic.check(),
            _ => Ok(()),
        }
    }
}
