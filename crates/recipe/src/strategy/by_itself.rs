//! The student with a teacher that is made of itself.

use super::context::{PreparedStrategy, ViewMode, metrics_of_distilled};
use crate::input::AnyNetwork;
use burn_distill::core::DynObjective;
use burn_distill::strategy::{SelfDistiller, SelfTeacher};

/// A network that is its own teacher in some way.
pub type Itself<T> = SelfDistiller<AnyNetwork, T, Vec<DynObjective>>;

/// Clause about the teacher in an error.
pub const WHO: &str = "the student teaches itself";

/// Sets up a network that is its own teacher.
pub fn by_itself<T: SelfTeacher<AnyNetwork>>(
    student: AnyNetwork,
    teacher: T,
    objective: Vec<DynObjective>,
    terms: &[String],
    sees: ViewMode,
) -> PreparedStrategy<Itself<T>> {
    PreparedStrategy {
        distiller: SelfDistiller::new(student, teacher, objective),
        sees,
        metrics: metrics_of_distilled(terms),
        outcome: Box::new(|distiller| Ok(distiller.student.into())),
    }
}
