use crate::clip::{add_clipped, others};
use crate::resolved::Resolved;
use crate::{ClippedTerms, Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Context, Knowledge, Network, NoTeacher, Objective, Requirements, Teacher, TeacherOutput,
    Terms, View, WeightSchedule,
};

/// Offline distillation: a teacher that no longer changes, a student that learns.
///
/// It is a burn `LearnerModel`: `SupervisedTraining` trains it with everything that it has to offer.
/// Its records hold the student and the objective (whose adapters train too), never the teacher.
///
/// ```text
/// loss = Σ weight · term(student(x), teacher(x), targets)
/// ```
///
/// The teacher runs in validation mode, off autodiff, so neither its weights nor its running
/// statistics change. Both networks see the first view of a batch, and as many more as the objective
/// [wants](burn_distill_core::Requirements::views), one after the other; figures are of the first.
///
/// # Reference
///
/// G. Hinton, O. Vinyals and J. Dean, [Distilling the Knowledge in a Neural
/// Network](https://arxiv.org/abs/1503.02531), NIPS 2014 Deep Learning Workshop.
#[derive(Module, Debug)]
pub struct OfflineDistiller<S, T, O> {
    /// The network that learns.
    pub student: S,
    /// Whoever teaches it.
    pub teacher: T,
    /// What it is trained on.
    pub objective: O,
    /// The terms whose gradient is clipped.
    #[module(skip)]
    clipped: Vec<ClippedTerms>,
    /// The requirements of the objective.
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
    /// A student, its teacher and what it is trained on.
    pub fn new(student: S, teacher: T, objective: O) -> Self {
        Self {
            student,
            teacher,
            objective,
            clipped: Vec::new(),
            requirements: Resolved::default(),
        }
    }

    /// The same, with the gradient of the terms of these names [clipped](ClippedTerms), parameter by
    /// parameter, to a share of that of all terms that are not clipped.
    ///
    /// Each call clips its terms together, at the price of another pass through student and objective:
    /// the gradient of the terms needs a graph of its own. That pass sees the same lessons and the
    /// parameters of before the step, and moves neither running statistics nor what an objective
    /// remembers: those move once per batch. Where a student draws at random, as in dropout, it draws
    /// again.
    ///
    /// The clipping is of the gradient of one batch on one device, before batches are accumulated.
    /// What is shown is as without it: the loss is still the sum of all terms.
    ///
    /// # Panics
    ///
    /// Panics where [`ClippedTerms::new`] does. A step panics if the loss lacks a term of one of these names, or has
    /// no others.
    pub fn with_clipped(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
        share: impl Into<WeightSchedule>,
    ) -> Self {
        self.clipped.push(ClippedTerms::new(names, share));
        self
    }

    fn requirements(&self) -> &Requirements {
        self.requirements.get(|| self.objective.requirements())
    }

    /// Returns the knowledge of both networks of each view that the objective wants.
    fn see(&self, batch: &Batch<S::Input>) -> Vec<View<Knowledge, T::Output>> {
        let requirements = self.requirements();
        let see = |batch: &Batch<S::Input>| View {
            teacher: self.teacher.teach(batch, &requirements.teacher),
            student: self
                .student
                .forward_knowledge(batch.view().clone(), &requirements.student),
        };
        let further = (1..requirements.views).map(|view| see(&batch.of_view(view)));
        [see(batch)].into_iter().chain(further).collect()
    }

    fn terms(objective: &O, seen: &[View<Knowledge, T::Output>], batch: &Batch<S::Input>) -> Terms {
        let [View { student, teacher }, further @ ..] = seen else {
            unreachable!("an objective wants at least one view")
        };
        let context = Context::new(student, teacher, &batch.targets, &batch.ids, batch.clock);
        objective.forward(&context.with_further(further))
    }

    fn output(
        terms: Terms,
        seen: &[View<Knowledge, T::Output>],
        batch: &Batch<S::Input>,
    ) -> DistillationOutput {
        let View { student, teacher } = &seen[0];
        DistillationOutput::new(terms, &student.response, teacher.response(), &batch.targets)
    }

    /// A step in which the gradient of some terms is clipped.
    fn clipped_step(&self, batch: &Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        // Copies of before the step, with running statistics and memories of their own, which are not
        // to move twice in a batch.
        let copies = self.clipped.iter().map(|clipped| {
            let copy = (self.student.valid().train(), self.objective.valid().train());
            (clipped, copy)
        });
        let copies: Vec<_> = copies.collect();

        let mut seen = self.see(batch);
        let terms = Self::terms(&self.objective, &seen, batch);
        let output = Self::output(terms.clone(), &seen, batch);
        let others = others(terms, &self.clipped).total().backward();
        let others = GradientsParams::from_grads(others, self);

        let requirements = &self.requirements().student;
        let clipped = copies.into_iter().map(|(clipped, copy)| {
            let (student, objective) = &copy;
            for (view, input) in seen.iter_mut().zip(&batch.views) {
                view.student = student.forward_knowledge(input.clone(), requirements);
            }
            let terms = clipped.of(Self::terms(objective, &seen, batch));
            // By the ids of the parameters, which a copy has in common with what it is of.
            let gradients = GradientsParams::from_grads(terms.total().backward(), &copy);
            (clipped, gradients)
        });
        let clipped: Vec<_> = clipped.collect();

        TrainOutput {
            grads: add_clipped(others, &clipped, &batch.clock, self),
            item: output,
        }
    }
}

impl<S, O> OfflineDistiller<S, NoTeacher, O>
where
    S: Network,
    O: Objective<Knowledge, ()>,
{
    /// The same training without a teacher: the baseline that a distillation is compared to.
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
        let seen = self.see(batch);
        let terms = Self::terms(&self.objective, &seen, batch);
        Self::output(terms, &seen, batch)
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        if !self.clipped.is_empty() {
            return self.clipped_step(&batch);
        }
        let output = self.forward(&batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

learner_model!([S, T, O] OfflineDistiller<S, T, O>);
