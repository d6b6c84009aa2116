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
    fn requirements(&self) -> Requirements;

    /// The terms of the loss for one batch.
    fn forward(&self, context: &Context<'_, S, T>) -> Terms;
}

/// What an objective needs from either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// The taps of the student.
    pub student: TapSelection,
    /// The taps of the teacher.
    pub teacher: TapSelection,
    /// How many views of each sample both are to see. At least 1.
    pub views: usize,
}

/// The responses to the first view.
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
    /// Only the responses.
    pub fn responses() -> Self {
        Self::default()
    }

    /// What either of the two needs.
    pub fn union(self, other: Self) -> Self {
        Self {
            student: self.student.union(other.student),
            teacher: self.teacher.union(other.teacher),
            views: self.views.max(other.views),
        }
    }
}

/// Everything that an objective may look at in one step.
#[derive(Debug)]
#[non_exhaustive]
pub struct Context<'a, S = Knowledge, T = Knowledge> {
    /// What the student says about the batch.
    pub student: &'a S,
    /// What the teacher says about it: constants.
    pub teacher: &'a T,
    /// What both say about its further views, as many as [wanted](Requirements::views).
    pub further: &'a [View<S, T>],
    /// What is known about the samples.
    pub targets: &'a Targets,
    /// The place of each sample in its data set.
    pub ids: &'a [usize],
    /// When this happens.
    pub clock: Clock,
}

/// What both networks say about another view of the same samples.
#[derive(Clone, Debug)]
pub struct View<S = Knowledge, T = Knowledge> {
    /// What the student says about it.
    pub student: S,
    /// What the teacher says about it: constants.
    pub teacher: T,
}

// Not derived: that would ask for networks whose knowledge is `Copy`.
impl<S, T> Copy for Context<'_, S, T> {}

impl<S, T> Clone for Context<'_, S, T> {
    fn clone(&self) -> Self {
        *self
    }
}

/// The targets of a context that is given no others.
static UNLABELED: Targets = Targets::Unlabeled;

impl<'a, S, T> Context<'a, S, T> {
    /// Creates the context of one view without targets and ids, by an
    /// [unstamped](Clock::unstamped) clock, which leaves weight schedules at their start.
    ///
    /// # Example
    ///
    /// An objective in a training loop of one's own:
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

    /// Sets the position of each sample in its data set, which losses with a memory of samples need.
    pub fn with_ids(mut self, ids: &'a [usize]) -> Self {
        self.ids = ids;
        self
    }

    /// Sets the position of the batch in the training, which weight schedules need.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The context of one step, of one view.
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
            further: &[],
        }
    }

    /// The same step with what both say about further views.
    pub fn with_further(mut self, further: &'a [View<S, T>]) -> Self {
        self.further = further;
        self
    }

    /// The step as one view shows it, counted from 0.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer views: an objective says how many it [wants](Requirements::views).
    pub fn of_view(self, view: usize) -> Self {
        let Some(further) = view.checked_sub(1) else {
            return self.with_further(&[]);
        };
        let Some(View { student, teacher }) = self.further.get(further) else {
            panic!(
                "View {view} is asked for, but only {} are known: require it in \
                 `Objective::requirements`, and create a new distiller if the objective was replaced \
                 after its first step; not every strategy shows several views.",
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
