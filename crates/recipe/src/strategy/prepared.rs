use super::{PreparedStrategy, StrategyContext};
use crate::input::{AnyInput, AnyNetwork};
use anyhow::Result;
use burn_distill::core::DynObjective;
use burn_distill::strategy::DynDistiller;

/// A strategy that is prepared: what an experiment has to do.
pub enum Prepared {
    /// One training.
    Training(PreparedStrategy<DynDistiller<AnyInput>>),
    /// A training without labels, then one of the student from what that has left, with labels alone.
    Pretraining(Pretraining),
    /// Several trainings, each with the network of the one before as its teacher.
    Generations(Generations),
    /// The training of a trained teacher: the `[teacher]`, or else the student that was trained alone.
    ByTeacher,
}

/// A training without labels, and how it differs from that of the student.
pub struct Pretraining {
    /// Training without labels.
    pub ready: PreparedStrategy<DynDistiller<AnyInput>>,
    /// The number of epochs without labels.
    pub epochs: usize,
    /// Whether the distiller decays weights itself, in the place of the optimizer.
    pub decays_weights: bool,
}

/// Students of one model, each taught by the one before it.
pub struct Generations {
    /// The number of students that are taught.
    pub count: usize,
    /// Whether a generation teaches in training mode, normalized by the statistics of each batch.
    pub training_mode: bool,
    /// Returns the terms that a generation is trained on.
    pub objective: GenerationObjective,
}

/// Returns the names of the terms of a generation and the terms, from its number, counted from 1, the
/// student and its teacher.
pub type GenerationObjective = Box<
    dyn Fn(
        &StrategyContext,
        usize,
        &AnyNetwork,
        &AnyNetwork,
    ) -> Result<(Vec<String>, Vec<DynObjective>)>,
>;
