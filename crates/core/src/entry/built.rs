use crate::{DynNetwork, DynObjective, Input, Knowledge, LossError};
use burn::store::ModuleRecord;
use std::rc::Rc;

/// One term of a loss, built for two networks or for a student and all of its teachers.
#[derive(Clone)]
pub struct BuiltLoss<I: Input> {
    /// The name of the term.
    pub name: String,
    /// The term with its weight.
    pub objective: BuiltObjective,
    /// The number of finished epochs at which the gradient of the loss may have half the size of the others,
    /// if the authors clip it so.
    pub clipped_at: Option<usize>,
    /// The training that comes before that of the student, if any.
    pub preparation: Option<Preparation>,
    /// The student as this loss needs it, if not as it is.
    pub student: Option<DynNetwork<I>>,
}

/// The objective of a built loss.
#[derive(Clone)]
pub enum BuiltObjective {
    /// Against one teacher.
    One(DynObjective),
    /// Against all teachers at once.
    All(DynObjective<Knowledge, Vec<Knowledge>>),
}

/// A training that a loss needs before that of the student: student and teacher stay as they are.
#[derive(Clone)]
pub struct Preparation {
    /// The name of what is trained.
    pub name: &'static str,
    /// The number of passes over the training samples of the student.
    pub epochs: usize,
    /// The objective with the parameters that are trained.
    pub objective: DynObjective,
    /// Creates the objective of the student from the record of the trained one.
    pub finish: Rc<dyn Fn(ModuleRecord) -> Result<DynObjective, LossError>>,
}
