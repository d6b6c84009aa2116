use crate::{DynNetwork, DynObjective, Input, Knowledge, LossError};
use burn::store::ModuleRecord;
use std::rc::Rc;

/// A term of a loss that was built for a student and its teacher or teachers.
#[derive(Clone)]
pub struct BuiltLoss<I: Input> {
    /// Name of the term.
    pub name: String,
    /// Term with its weight.
    pub objective: BuiltObjective,
    /// Number of finished epochs after which the gradient of the loss may have half the size of the
    /// gradient of the other losses, if the authors clip it in this way.
    pub clipped_at: Option<usize>,
    /// Training before that of the student, if the loss needs one.
    pub preparation: Option<Preparation>,
    /// Wrapped student, if the loss needs one, such as a student with a reused classifier.
    pub student: Option<DynNetwork<I>>,
}

/// Objective of a built loss.
#[derive(Clone)]
pub enum BuiltObjective {
    /// Objective for one teacher.
    One(DynObjective),
    /// Objective for all teachers at once.
    All(DynObjective<Knowledge, Vec<Knowledge>>),
}

/// A training that a loss needs before that of the student. It does not change student and teacher.
#[derive(Clone)]
pub struct Preparation {
    /// Name of the trained module.
    pub name: &'static str,
    /// Number of passes over the training samples of the student.
    pub epochs: usize,
    /// Objective that contains the trained parameters.
    pub objective: DynObjective,
    /// Function that creates the objective of the student from the record of the trained one.
    pub finish: Rc<dyn Fn(ModuleRecord) -> Result<DynObjective, LossError>>,
}
