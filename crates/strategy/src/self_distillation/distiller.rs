use crate::last_clock::LastClock;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, MetricKind, learner_model};
use burn::module::{Module, ModuleDisplay};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Clock, Context, Knowledge, Network, Objective, Requirements, TapSelection, Terms,
};

/// The figures of a teacher.
const OF_TEACHER: [MetricKind; 2] = [MetricKind::TeacherAccuracy, MetricKind::Agreement];

/// Where a network that teaches itself has its lessons from: what it said in the past, what it says
/// about other samples, an average of what it has been.
pub trait SelfTeacher<S: Network>: Module + ModuleDisplay + 'static {
    /// What the network is taught about a batch: constants. It is asked after the network has
    /// answered to the batch.
    fn teach(&self, student: &S, batch: &Batch<S::Input>, selection: &TapSelection) -> Knowledge;

    /// Returns whether what it teaches about a batch is its own, and not a stand-in for a lack of it.
    ///
    /// If it is not, its accuracy and the agreement with it are not shown, and in a validation neither
    /// are the loss and its terms: they would say something else than their names.
    fn knows(&self, _batch: &Batch<S::Input>, _phase: TeachingPhase) -> bool {
        true
    }

    /// Hear what the network says about a batch that it is being trained on, before the step.
    fn observe(&self, _student: &Knowledge, _batch: &Batch<S::Input>) {}

    /// Follow the network after a step on a batch with that clock.
    fn update(self, _student: &S, _clock: Clock) -> Self {
        self
    }
}

/// The part of a training in which a [`SelfTeacher`] teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeachingPhase {
    /// The samples are those that the network is trained on.
    Training,
    /// The samples are those of a validation.
    Validation,
}

/// Self-distillation: a network that learns from itself.
///
/// It is what [`OfflineDistiller`](crate::OfflineDistiller) is, with a teacher that is made of the
/// student: any objective serves. What the teacher has to remember is part of the record. It learns
/// on one device: others would not hear what is said there.
///
/// ```text
/// loss = Σ weight · term(student(x), taught(student, x), targets)
/// ```
#[derive(Module, Debug)]
pub struct SelfDistiller<S, T, O> {
    /// The network that learns.
    pub student: S,
    /// Where it has its lessons from.
    pub teacher: T,
    /// What it is trained on.
    pub objective: O,
    /// When the last step was: an optimizer is not told.
    #[module(skip)]
    clock: LastClock,
    /// The requirements of the objective.
    #[module(skip)]
    selection: Resolved<Requirements>,
}

impl<S, T, O> SelfDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective,
{
    /// A network, where it has its lessons from and what it is trained on.
    pub fn new(student: S, teacher: T, objective: O) -> Self {
        Self {
            student,
            teacher,
            objective,
            clock: LastClock::default(),
            selection: Resolved::default(),
        }
    }

    fn terms(&self, batch: &Batch<S::Input>) -> (Knowledge, Knowledge, Terms) {
        let Requirements {
            student, teacher, ..
        } = self.selection.get(|| self.objective.requirements());
        // First, as the authors of those methods do: running statistics remember best whoever is
        // asked last, which is a teacher that is the student itself.
        let student = self
            .student
            .forward_knowledge(batch.view().clone(), student);
        let taught = self
            .teacher
            .teach(&self.student, batch, teacher)
            .without_autodiff();
        let context = Context::new(&student, &taught, &batch.targets, &batch.ids, batch.clock);
        let terms = self.objective.forward(&context);
        (student, taught, terms)
    }
}

impl<S, T, O> Distillation for SelfDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective,
{
    type Input = S::Input;

    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let (student, taught, terms) = self.terms(batch);
        DistillationOutput::new(
            terms,
            &student.response,
            Some(&taught.response),
            &batch.targets,
        )
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        let (student, taught, terms) = self.terms(&batch);
        self.teacher.observe(&student, &batch);
        self.clock.set(batch.clock);
        let taught = Some(&taught.response);
        let output = DistillationOutput::new(terms, &student.response, taught, &batch.targets);
        let output = match self.teacher.knows(&batch, TeachingPhase::Training) {
            true => output,
            false => output.hiding(OF_TEACHER),
        };
        TrainOutput::new(self, output.loss.backward(), output)
    }

    fn validation_step(&self, batch: Batch<S::Input>) -> DistillationOutput {
        let output = self.forward(&batch);
        match self.teacher.knows(&batch, TeachingPhase::Validation) {
            true => output,
            false => output.hiding_terms().hiding(OF_TEACHER),
        }
    }

    fn optimizer_step(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let mut stepped: Self = optimizer.step(rate, self, gradients);
        let clock = stepped.clock.get();
        stepped.teacher = stepped.teacher.update(&stepped.student, clock);
        stepped
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("A network that teaches itself learns on one device.")
    }
}

learner_model!([S, T, O] SelfDistiller<S, T, O>);
