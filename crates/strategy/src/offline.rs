use crate::clip::{add_clipped, others};
use crate::resolved::Resolved;
use crate::{ClippedTerms, Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Context, Knowledge, Network, NoTeacher, Objective, Requirements, TapSelection, Teacher,
    TeacherOutput, Terms, View, WeightSchedule,
};

/// Offline knowledge distillation (KD): a student learns from a trained teacher that stays
/// constant.
///
/// It is a burn `LearnerModel`, which burn's `SupervisedTraining` trains with all its features. Its
/// records hold the student and the objective, whose adapters train too, but not the teacher.
///
/// ```text
/// loss = Σ weight · term(student(x), teacher(x), targets)
/// ```
///
/// The teacher runs in validation mode, off autodiff, so neither its weights nor its running
/// statistics change. Both networks compute on the first view of a batch, and then on further views
/// if the objective [requires](burn_distill_core::Requirements::views) them; metrics are of the
/// first view.
///
/// # Reference
///
/// G. Hinton, O. Vinyals and J. Dean, [Distilling the Knowledge in a Neural
/// Network](https://arxiv.org/abs/1503.02531), NIPS 2014 Deep Learning Workshop.
#[derive(Module, Debug)]
pub struct OfflineDistiller<S, T, O> {
    /// The student, which is trained and then deployed.
    pub student: S,
    /// The teacher, which is not trained.
    pub teacher: T,
    /// The training objective of the student. Its requirements are read in the first step. To
    /// replace it later, clone the distiller: the clone reads them again.
    pub objective: O,
    /// Terms whose gradient is clipped.
    #[module(skip)]
    clipped: Vec<ClippedTerms>,
    /// Requirements of the objective.
    #[module(skip)]
    requirements: Resolved<Requirements>,
}

impl<S, T, O> OfflineDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: TeacherOutput,
    O: Objective<Knowledge, T::Output>,
{
    /// Creates a distiller from a student, its teacher and the training objective.
    pub fn new(student: S, teacher: T, objective: O) -> Self {
        Self {
            student,
            teacher,
            objective,
            clipped: Vec::new(),
            requirements: Resolved::default(),
        }
    }

    /// Clips the gradient of the terms with these names [parameter by parameter](ClippedTerms), to
    /// a share of the gradient of all terms that are not clipped.
    ///
    /// Each call clips its terms together, at the cost of another pass through student and
    /// objective, since the gradient of the terms needs a separate graph. That pass uses the same
    /// teacher outputs and the parameters before the step, and updates neither running statistics
    /// nor the memory of an objective: both are updated once per batch. Random operations of the
    /// student, such as dropout, draw again.
    ///
    /// The gradient of one batch on one device is clipped, before batches are accumulated. Metrics
    /// are the same as without clipping: the loss is still the sum of all terms.
    ///
    /// # Panics
    ///
    /// Panics where [`ClippedTerms::new`] does. A step panics if the loss has no term of one of
    /// these names, or no term that is not clipped.
    pub fn with_clipped(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
        share: impl Into<WeightSchedule>,
    ) -> Self {
        self.clipped.push(ClippedTerms::new(names, share));
        self
    }

    /// Returns the knowledge of both networks about each required view, and the requirements of the
    /// student.
    pub(crate) fn views(
        &self,
        batch: &Batch<S::Input>,
    ) -> (Vec<View<Knowledge, T::Output>>, &TapSelection) {
        let Requirements {
            student,
            teacher,
            views,
        } = self.requirements.get(|| self.objective.requirements());
        let view = |batch: &Batch<S::Input>| View {
            teacher: self.teacher.teach(batch, teacher),
            student: self
                .student
                .forward_knowledge(batch.view().clone(), student),
        };
        let further = (1..*views).map(|index| view(&batch.of_view(index)));
        let views = [view(batch)].into_iter().chain(further).collect();
        (views, student)
    }

    /// Returns the context of a batch from the knowledge of both networks about its views.
    pub(crate) fn context<'a>(
        views: &'a [View<Knowledge, T::Output>],
        batch: &'a Batch<S::Input>,
    ) -> Context<'a, Knowledge, T::Output> {
        let View { student, teacher } = &views[0];
        let context = Context::new(student, teacher, &batch.targets, &batch.ids, batch.clock);
        context.with_further(&views[1..])
    }

    /// Takes a step in which the gradient of some terms is clipped.
    fn clipped_step(&self, batch: &Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        let clipped = self.clipped.iter();
        let selections = clipped.map(|clipped| move |terms| clipped.of(terms));
        let (output, others, gradients) = self.separate_gradients(
            batch,
            |terms| others(terms, &self.clipped),
            &selections.collect::<Vec<_>>(),
        );
        let clipped: Vec<_> = self.clipped.iter().zip(gradients).collect();
        TrainOutput {
            grads: add_clipped(others, &clipped, &batch.clock, self),
            item: output,
        }
    }

    /// Computes the output of a step, the gradients of the terms that `main` selects, and those of
    /// the terms that each of `further` selects.
    ///
    /// Each further gradient needs a separate graph: it costs another pass through student and
    /// objective, which uses the same teacher outputs and parameters, and updates neither running
    /// statistics nor the memory of an objective.
    pub(crate) fn separate_gradients(
        &self,
        batch: &Batch<S::Input>,
        main: impl Fn(Terms) -> Terms,
        further: &[impl Fn(Terms) -> Terms],
    ) -> (DistillationOutput, GradientsParams, Vec<GradientsParams>) {
        // Copies made before the step, with separate running statistics and memories, since those
        // are to be updated once per batch.
        let copies = further.iter().map(|select| {
            let copy = (self.student.valid().train(), self.objective.valid().train());
            (select, copy)
        });
        let copies: Vec<_> = copies.collect();

        let (mut views, requirements) = self.views(batch);
        let context = Self::context(&views, batch);
        let terms = self.objective.forward(&context);
        let output = output(terms.clone(), &context);
        let gradients = main(terms).total().backward();
        let gradients = GradientsParams::from_grads(gradients, self);

        let further = copies.into_iter().map(|(select, copy)| {
            let (student, objective) = &copy;
            for (view, input) in views.iter_mut().zip(&batch.views) {
                view.student = student.forward_knowledge(input.clone(), requirements);
            }
            let terms = select(objective.forward(&Self::context(&views, batch)));
            // By the ids of the parameters, which are the same in a copy.
            GradientsParams::from_grads(terms.total().backward(), &copy)
        });
        let further: Vec<_> = further.collect();
        (output, gradients, further)
    }
}

impl<S, O> OfflineDistiller<S, NoTeacher, O>
where
    S: Network,
    O: Objective<Knowledge, ()>,
{
    /// Creates a training of the student without a teacher: the baseline of a distillation.
    pub fn without_teacher(student: S, objective: O) -> Self {
        Self::new(student, NoTeacher::default(), objective)
    }
}

impl<S, T, O> Distillation for OfflineDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: TeacherOutput,
    O: Objective<Knowledge, T::Output>,
{
    type Input = S::Input;

    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let (views, _) = self.views(batch);
        let context = Self::context(&views, batch);
        output(self.objective.forward(&context), &context)
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        if !self.clipped.is_empty() {
            return self.clipped_step(&batch);
        }
        let output = self.forward(&batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

/// Returns the output of a step with these terms of the loss.
pub(crate) fn output<T: TeacherOutput>(
    terms: Terms,
    context: &Context<'_, Knowledge, T>,
) -> DistillationOutput {
    let (student, teacher) = (&context.student.response, context.teacher.response());
    DistillationOutput::new(terms, student, teacher, context.targets)
}

learner_model!([S, T, O] OfflineDistiller<S, T, O>);
