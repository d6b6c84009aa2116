use crate::{Clock, Knowledge, TapSelection, Targets, Terms};
use burn::module::{Module, ModuleDisplay};

/// Training objective of a student.
///
/// A loss compares two tensors. An objective also specifies the source of the tensors, and the
/// names and weights of its terms. It is a module because it can hold adapters and projections,
/// which train with the student.
///
/// `S` is the output of the student for a batch and `T` the output of the teacher: [`Knowledge`] if
/// each is one network.
pub trait Objective<S = Knowledge, T = Knowledge>: Module + ModuleDisplay + 'static {
    /// Returns the taps and the number of views that the objective needs.
    fn requirements(&self) -> Requirements;

    /// Computes the terms of the loss for one batch.
    fn forward(&self, context: &Context<'_, S, T>) -> Terms;
}

/// Requirements of an objective: the taps of both networks and the number of views.
///
/// The response is always available. A distiller unites the requirements of all parts of its
/// objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Taps of the student.
    pub student: TapSelection,
    /// Taps of the teacher.
    pub teacher: TapSelection,
    /// Number of views of each sample that student and teacher process. At least 1.
    pub views: usize,
}

/// The responses to the first view, without taps.
impl Default for Requirements {
    fn default() -> Self {
        Self {
            student: TapSelection::default(),
            teacher: TapSelection::default(),
            views: 1,
        }
    }
}

impl Requirements {
    /// Creates the requirements of an objective that needs only the responses to the first view.
    pub fn responses() -> Self {
        Self::default()
    }

    /// Returns the requirements that satisfy both: the taps of either and the larger number of
    /// views.
    pub fn union(self, other: Self) -> Self {
        Self {
            student: self.student.union(other.student),
            teacher: self.teacher.union(other.teacher),
            views: self.views.max(other.views),
        }
    }
}

/// Input of an [`Objective`]: the outputs of student and teacher for one batch, and its targets.
#[derive(Debug)]
#[non_exhaustive]
pub struct Context<'a, S = Knowledge, T = Knowledge> {
    /// Output of the student for the first view.
    pub student: &'a S,
    /// Output of the teacher for the first view, as constants.
    pub teacher: &'a T,
    /// Outputs for the further views: one less than the [required](Requirements::views) number of
    /// views.
    pub further: &'a [View<S, T>],
    /// Targets of the samples.
    pub targets: &'a Targets,
    /// Position of each sample in its data set. Empty if the loader does not know it.
    pub ids: &'a [usize],
    /// Position of the batch in the training.
    pub clock: Clock,
}

/// Outputs of student and teacher for a further view of the same samples.
#[derive(Clone, Debug)]
pub struct View<S = Knowledge, T = Knowledge> {
    /// Output of the student for this view.
    pub student: S,
    /// Output of the teacher for this view, as constants.
    pub teacher: T,
}

// Not derived: a derive would require that the outputs are `Copy`.
impl<S, T> Copy for Context<'_, S, T> {}

impl<S, T> Clone for Context<'_, S, T> {
    fn clone(&self) -> Self {
        *self
    }
}

/// Targets of a context that is created without targets.
static UNLABELED: Targets = Targets::Unlabeled;

impl<'a, S, T> Context<'a, S, T> {
    /// Creates the context of one view from the outputs of student and teacher, without targets and
    /// ids.
    ///
    /// The clock is [unstamped](Clock::unstamped), which leaves weight schedules at their start.
    ///
    /// # Example
    ///
    /// An objective in a custom training loop:
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use burn_distill_core::{Context, Knowledge, Objective, TapPair, TapObjective};
    /// # use burn::module::Module;
    /// # use burn::tensor::Bool;
    /// # use burn_distill_core::{NamedLoss, Tap, TapLoss};
    /// # #[derive(Module, Debug)]
    /// # struct Hint {}
    /// # impl NamedLoss for Hint {
    /// #     fn name(&self) -> &'static str { "hint" }
    /// # }
    /// # impl TapLoss for Hint {
    /// #     fn forward_taps(&self, student: Tap, teacher: Tap, _: Option<Tensor<2, Bool>>) -> Tensor<1> {
    /// #         student.into_map().sub(teacher.into_map()).square().mean()
    /// #     }
    /// # }
    /// # let device = Device::default();
    /// # let logits = || Tensor::<2>::zeros([2, 10], &device);
    /// # let (student_logits, teacher_logits) = (logits(), logits());
    /// # let student_map = Tensor::<4>::zeros([2, 8, 4, 4], &device);
    /// # let teacher_map = Tensor::<4>::ones([2, 8, 4, 4], &device);
    /// # let objective = TapObjective::new([TapPair::new("layer1", "layer2", Hint {})], 0.5);
    /// let student = Knowledge::from_logits(student_logits).with_taps([("layer1", student_map)]);
    /// let teacher = Knowledge::from_logits(teacher_logits).with_taps([("layer2", teacher_map)]);
    /// let loss = objective.forward(&Context::of(&student, &teacher)).total();
    /// # assert_eq!(loss.into_scalar::<f32>(), 0.5);
    /// ```
    pub fn of(student: &'a S, teacher: &'a T) -> Self {
        Self::new(student, teacher, &UNLABELED, &[], Clock::unstamped())
    }

    /// Sets the targets.
    pub fn with_targets(mut self, targets: &'a Targets) -> Self {
        self.targets = targets;
        self
    }

    /// Sets the position of each sample in its data set, which losses with a memory bank need.
    pub fn with_ids(mut self, ids: &'a [usize]) -> Self {
        self.ids = ids;
        self
    }

    /// Sets the position of the batch in the training, which weight schedules need.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Creates the context of one view from all its parts.
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
            further: &[],
            targets,
            ids,
            clock,
        }
    }

    /// Returns the context of the first view with the output of another teacher.
    pub fn with_teacher<'b, U>(&self, teacher: &'b U) -> Context<'b, S, U>
    where
        'a: 'b,
    {
        Context {
            student: self.student,
            teacher,
            targets: self.targets,
            ids: self.ids,
            clock: self.clock,
            further: &[],
        }
    }

    /// Sets the outputs for further views.
    pub fn with_further(mut self, further: &'a [View<S, T>]) -> Self {
        self.further = further;
        self
    }

    /// Returns the context of one view, counted from 0.
    ///
    /// # Panics
    ///
    /// Panics if there is no such view. An objective [requires](Requirements::views) the number of
    /// views that it needs.
    pub fn of_view(self, view: usize) -> Self {
        let Some(further) = view.checked_sub(1) else {
            return self.with_further(&[]);
        };
        let Some(View { student, teacher }) = self.further.get(further) else {
            panic!(
                "View {view} (counted from 0) is needed, but this training provides only {} per sample: \
                 require it in `Objective::requirements`, create a new distiller if the objective was \
                 replaced after its first step, or use a training that provides further views.",
                self.further.len() + 1
            );
        };
        Self {
            student,
            teacher,
            ..self.with_further(&[])
        }
    }
}
