//! Losses that are built.

use crate::input::AnyNetwork;
use burn_distill::core::{DynObjective, Knowledge, Preparation, WeightSchedule};

/// One term of the loss of a recipe.
#[derive(Clone)]
pub struct Loss {
    /// The name of the term.
    pub name: String,
    /// The objective, on the CPU.
    pub objective: DynObjective,
    /// How its gradient is clipped, if it is.
    pub clip: Option<LossClip>,
    /// The training that comes before that of the student, if any.
    pub preparation: Option<Preparation>,
    /// The student as this loss needs it, if not as it is, on the CPU.
    pub student: Option<AnyNetwork>,
}

/// Clipping of the gradient of a loss.
#[derive(Clone)]
pub struct LossClip {
    /// Share of the gradient of the losses that are not clipped.
    pub share: WeightSchedule,
    /// Whether the recipe asks for it. Otherwise it is the default of the kind, which applies where
    /// clipping is possible.
    pub is_asked_for: bool,
}

impl Loss {
    /// Whether the recipe asks for its gradient to be clipped.
    pub fn is_to_be_clipped(&self) -> bool {
        self.clip.as_ref().is_some_and(|clip| clip.is_asked_for)
    }
}

/// One term of the loss of a recipe with several teachers.
pub struct JointLoss {
    /// The name of the term.
    pub name: String,
    /// The objective, on the CPU.
    pub objective: DynObjective<Knowledge, Vec<Knowledge>>,
}
