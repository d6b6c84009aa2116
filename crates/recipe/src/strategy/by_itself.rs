//! The student with a teacher that is made of itself.

use super::setting::{Ready, Sees, figures_of_taught};
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
    sees: Sees,
) -> Ready<Itself<T>> {
    Ready {
        distiller: SelfDistiller::new(student, teacher, objective),
        sees,
        figures: figures_of_taught(terms),
        outcome: Box::new(|distiller| Ok(distiller.student.into())),
    }
}
