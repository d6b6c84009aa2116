//! Losses that are built.

use crate::input::AnyNetwork;
use burn_distill::core::{DynObjective, Knowledge, Preparation, WeightSchedule};

/// One term of the loss of a recipe.
#[derive(Clone)]
pub struct Loss {
    /// Name of the term.
    pub name: String,
    /// Objective, on the CPU.
    pub objective: DynObjective,
    /// Clipping of its gradient, if it is clipped.
    pub clip: Option<LossClip>,
    /// Training before that of the student, if there is one.
    pub preparation: Option<Preparation>,
    /// Wrapped student, on the CPU, if the loss needs one.
    pub student: Option<AnyNetwork>,
}

/// Clipping of the gradient of a loss.
#[derive(Clone)]
pub struct LossClip {
    /// Share of the gradient of the losses that are not clipped.
    pub share: WeightSchedule,
    /// Whether the recipe asks for it. Otherwise it is the default of the loss, which applies where
    /// clipping is possible.
    pub is_asked_for: bool,
}

impl Loss {
    /// Returns whether the recipe asks for its gradient to be clipped.
    pub fn is_to_be_clipped(&self) -> bool {
        self.clip.as_ref().is_some_and(|clip| clip.is_asked_for)
    }
}

/// One term of the loss of a recipe with several teachers.
pub struct JointLoss {
    /// Name of the term.
    pub name: String,
    /// Objective, on the CPU.
    pub objective: DynObjective<Knowledge, Vec<Knowledge>>,
}
