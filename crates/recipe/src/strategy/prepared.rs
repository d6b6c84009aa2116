use super::{PreparedStrategy, StrategyContext};
use crate::input::{AnyInput, AnyNetwork};
use crate::parts::TrainingRecipe;
use anyhow::Result;
use burn::module::ModuleDisplay;
use burn::tensor::Device;
use burn_distill::core::{DynObjective, Frozen};
use burn_distill::strategy::{Distillation, DynDistiller, TaskPlan};

/// Student and trained teacher for which a strategy creates its distiller.
pub struct TeacherSetting<'a> {
    /// Student.
    pub student: AnyNetwork,
    /// Teacher.
    pub teacher: Frozen<AnyNetwork>,
    /// Terms of the loss of the student.
    pub objective: Vec<DynObjective>,
    /// Names of the terms that are computed from the targets, without a teacher.
    pub of_targets: Vec<String>,
    /// Number of classes.
    pub classes: usize,
    /// Training of the student.
    pub training: &'a TrainingRecipe,
    /// Device of the student.
    pub device: &'a Device,
}

/// Trainings that a strategy requires.
pub enum Prepared {
    /// One training.
    Training(PreparedStrategy<DynDistiller<AnyInput>>),
    /// A training without labels, then a training of the resulting student on the labels.
    Pretraining(Pretraining),
    /// Several trainings, each with the network of the one before as its teacher.
    Generations(Generations),
    /// A training for each task, one after another.
    Tasks(TaskTraining),
    /// Distillation from a trained teacher: the `[teacher]`, or else the trained baseline.
    TrainedTeacher,
}

impl<M> From<PreparedStrategy<M>> for Prepared
where
    M: Distillation<Input = AnyInput> + ModuleDisplay + 'static,
{
    fn from(training: PreparedStrategy<M>) -> Self {
        Self::Training(training.erased())
    }
}

/// A training without labels, and its differences from that of the student.
pub struct Pretraining {
    /// Training without labels.
    pub training: PreparedStrategy<DynDistiller<AnyInput>>,
    /// Number of epochs without labels.
    pub epochs: usize,
    /// Whether the distiller decays the weights itself, in place of the optimizer.
    pub decays_weights: bool,
}

/// Tasks that are learned one after another, by the plan of a strategy.
pub struct TaskTraining {
    /// Plan.
    pub plan: TaskPlan,
    /// Tap of the student whose features the heads of all tasks share.
    pub tap: String,
}

/// Students of one model, each distilled from the one before it.
pub struct Generations {
    /// Number of distilled students.
    pub count: usize,
    /// Whether the outputs of a generation, as a teacher, are computed in training mode.
    pub training_mode: bool,
    /// Function that builds the terms of a generation.
    pub objective: GenerationObjective,
}

/// Function that returns the names of the terms of a generation and the terms, given its number,
/// counted from 1, the student and its teacher.
pub type GenerationObjective = Box<
    dyn Fn(
        &StrategyContext,
        usize,
        &AnyNetwork,
        &AnyNetwork,
    ) -> Result<(Vec<String>, Vec<DynObjective>)>,
>;
