use crate::{Clock, Knowledge, TapSelection, Targets, Terms};
use burn::module::{Module, ModuleDisplay};

/// What the student is trained on.
///
/// A loss compares two tensors; an objective knows where they come from, what they are called and
/// how much they count. It is a module because it holds adapters and projectors, which train with
/// the student.
///
/// `S` is what the student says about a batch and `T` what the teacher does: [`Knowledge`] for one
/// network each.
pub trait Objective<S = Knowledge, T = Knowledge>: Module + ModuleDisplay + 'static {
    /// The taps that the objective needs.
    fn wanted(&self) -> Wanted;

    /// The terms of the loss for one batch.
    fn forward(&self, context: &Context<'_, S, T>) -> Terms;
}

/// The taps that an objective needs from either side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The taps of the student.
    pub student: TapSelection,
    /// The taps of the teacher.
    pub teacher: TapSelection,
}

impl Wanted {
    /// Only the responses.
    pub fn responses() -> Self {
        Self::default()
    }

    /// What either of the two needs.
    pub fn union(self, other: Self) -> Self {
        Self {
            student: self.student.union(other.student),
            teacher: self.teacher.union(other.teacher),
        }
    }
}

/// Everything that an objective may look at in one step.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Context<'a, S = Knowledge, T = Knowledge> {
    /// What the student says about the batch.
    pub student: &'a S,
    /// What the teacher says about it: constants.
    pub teacher: &'a T,
    /// What is known about the samples.
    pub targets: &'a Targets,
    /// The place of each sample in its data set.
    pub ids: &'a [usize],
    /// When this happens.
    pub clock: Clock,
}

impl<'a, S, T> Context<'a, S, T> {
    /// The context of one step.
    pub fn new(
        student: &'a S,
        teacher: &'a T,
        targets: &'a Targets,
        ids: &'a [usize],
        clock: Clock,
    ) -> Self {
        Self {
            student,
            teacher,
            targets,
            ids,
            clock,
        }
    }

    /// The same step with another teacher.
    pub fn taught_by<'b, U>(&self, teacher: &'b U) -> Context<'b, S, U>
    where
        'a: 'b,
    {
        Context {
            student: self.student,
            teacher,
            targets: self.targets,
            ids: self.ids,
            clock: self.clock,
        }
    }
}
