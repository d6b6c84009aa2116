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

/// The metrics that depend on a teacher.
const TEACHER_METRICS: [MetricKind; 2] = [MetricKind::TeacherAccuracy, MetricKind::Agreement];

/// A teacher that is made of the student itself: its past predictions, its predictions for other
/// samples, or a moving average of its weights.
pub trait SelfTeacher<S: Network>: Module + ModuleDisplay + 'static {
    /// Returns the knowledge of the teacher about a batch, as constants. It is called after the
    /// forward pass of the student.
    fn teach(&self, student: &S, batch: &Batch<S::Input>, selection: &TapSelection) -> Knowledge;

    /// Returns whether the teacher has real knowledge about a batch, and not a substitute such as
    /// the labels.
    ///
    /// If it does not, neither its accuracy nor the agreement with it is shown. In a validation,
    /// the loss and its terms are not shown either, since their values would have another meaning.
    fn has_knowledge(&self, _batch: &Batch<S::Input>, _phase: TeachingPhase) -> bool {
        true
    }

    /// Receives the knowledge of the student about a training batch, before the step of the
    /// optimizer.
    fn observe(&self, _student: &Knowledge, _batch: &Batch<S::Input>) {}

    /// Updates the teacher after a step of the student on a batch with this clock.
    fn update(self, _student: &S, _clock: Clock) -> Self {
        self
    }
}

/// The phase of a training in which a [`SelfTeacher`] is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeachingPhase {
    /// A step on training samples.
    Training,
    /// A step on validation samples.
    Validation,
}

/// Self-distillation: a network learns from a teacher that is made of the network itself.
///
/// It equals [`OfflineDistiller`](crate::OfflineDistiller) except for the teacher, and takes any
/// objective. The state of the teacher is part of the record. It trains on one device, since the
/// state of the teacher would differ between devices.
///
/// ```text
/// loss = Σ weight · term(student(x), teacher(student, x), targets)
/// ```
#[derive(Module, Debug)]
pub struct SelfDistiller<S, T, O> {
    /// Network that is trained.
    pub student: S,
    /// Teacher that is made of the network.
    pub teacher: T,
    /// Training objective.
    pub objective: O,
    /// Clock of the last batch, for the step of the optimizer.
    #[module(skip)]
    clock: LastClock,
    /// Requirements of the objective.
    #[module(skip)]
    selection: Resolved<Requirements>,
}

impl<S, T, O> SelfDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective,
{
    /// Creates a distiller from a network, its teacher and the training objective.
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
        // Before the teacher, as in the authors' code of these methods: the order matters for
        // running statistics where the teacher is the student itself.
        let student = self
            .student
            .forward_knowledge(batch.view().clone(), student);
        let target = self
            .teacher
            .teach(&self.student, batch, teacher)
            .without_autodiff();
        let context = Context::new(&student, &target, &batch.targets, &batch.ids, batch.clock);
        let terms = self.objective.forward(&context);
        (student, target, terms)
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
        let (student, target, terms) = self.terms(batch);
        DistillationOutput::new(
            terms,
            &student.response,
            Some(&target.response),
            &batch.targets,
        )
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        let (student, target, terms) = self.terms(&batch);
        self.teacher.observe(&student, &batch);
        self.clock.set(batch.clock);
        let target = Some(&target.response);
        let output = DistillationOutput::new(terms, &student.response, target, &batch.targets);
        let output = match self.teacher.has_knowledge(&batch, TeachingPhase::Training) {
            true => output,
            false => output.hiding(TEACHER_METRICS),
        };
        TrainOutput::new(self, output.loss.backward(), output)
    }

    fn validation_step(&self, batch: Batch<S::Input>) -> DistillationOutput {
        let output = self.forward(&batch);
        match self
            .teacher
            .has_knowledge(&batch, TeachingPhase::Validation)
        {
            true => output,
            false => output.hiding_terms().hiding(TEACHER_METRICS),
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
        panic!("Self-distillation trains on one device: use one device.")
    }
}

learner_model!([S, T, O] SelfDistiller<S, T, O>);
