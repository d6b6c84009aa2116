//! Self-distillation: the teacher is computed from the student.

use super::context::{PreparedStrategy, ViewMode, metrics_of_distilled};
use crate::input::AnyNetwork;
use burn_distill::core::DynObjective;
use burn_distill::strategy::{SelfDistiller, SelfTeacher};

/// Distiller of a student whose teacher is computed from the student.
pub type Itself<T> = SelfDistiller<AnyNetwork, T, Vec<DynObjective>>;

/// Description of these strategies in an error.
pub const TEACHES_ITSELF: &str = "the student teaches itself";

/// Creates the training of a student whose teacher is computed from the student.
pub fn by_itself<T: SelfTeacher<AnyNetwork>>(
    student: AnyNetwork,
    teacher: T,
    objective: Vec<DynObjective>,
    terms: &[String],
    views: ViewMode,
) -> PreparedStrategy<Itself<T>> {
    PreparedStrategy {
        distiller: SelfDistiller::new(student, teacher, objective),
        views,
        metrics: metrics_of_distilled(terms),
        finalize: Box::new(|distiller| Ok(distiller.student.into())),
    }
}
