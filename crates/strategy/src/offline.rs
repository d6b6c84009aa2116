use crate::DistillationOutput;
use burn::module::Module;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use burn_distill_core::{
    Batch, Context, Knowledge, Lesson, Network, NoTeacher, Objective, Teacher, View,
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
/// [wants](burn_distill_core::Wanted::views), one after the other; figures are of the first.
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
}

impl<S, T, O> OfflineDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: Lesson,
    O: Objective<Knowledge, T::Output>,
{
    /// A student, its teacher and what it is trained on.
    pub fn new(student: S, teacher: T, objective: O) -> Self {
        Self {
            student,
            teacher,
            objective,
        }
    }

    /// The loss of a batch, term by term, and the figures that metrics are made of.
    pub fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let wanted = self.objective.wanted();
        let see = |batch: &Batch<S::Input>| View {
            teacher: self.teacher.teach(batch, &wanted.teacher),
            student: self
                .student
                .forward_knowledge(batch.view().clone(), &wanted.student),
        };
        let View { student, teacher } = see(batch);
        let further: Vec<_> = (1..wanted.views)
            .map(|view| see(&batch.of_view(view)))
            .collect();

        let context = Context::new(&student, &teacher, &batch.targets, &batch.ids, batch.clock)
            .with_further(&further);
        let terms = self.objective.forward(&context);

        DistillationOutput::new(terms, &student.response, teacher.response(), &batch.targets)
    }
}

impl<S, O> OfflineDistiller<S, NoTeacher, O>
where
    S: Network,
    O: Objective<Knowledge, ()>,
{
    /// The same training without a teacher: the baseline that a distillation is compared to.
    pub fn alone(student: S, objective: O) -> Self {
        Self::new(student, NoTeacher::default(), objective)
    }
}

impl<S, T, O> TrainStep for OfflineDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: Lesson,
    O: Objective<Knowledge, T::Output>,
{
    type Input = Batch<S::Input>;
    type Output = DistillationOutput;

    fn step(&self, batch: Self::Input) -> TrainOutput<Self::Output> {
        let output = self.forward(&batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl<S, T, O> InferenceStep for OfflineDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: Lesson,
    O: Objective<Knowledge, T::Output>,
{
    type Input = Batch<S::Input>;
    type Output = DistillationOutput;

    fn step(&self, batch: Self::Input) -> Self::Output {
        self.forward(&batch)
    }
}
