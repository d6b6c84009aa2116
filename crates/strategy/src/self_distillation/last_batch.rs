use crate::mutual::peers::without_taps;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, MetricKind, learner_model};
use burn::module::{Module, ModuleDisplay};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{ModuleOptimizer, MultiGradientsParams};
use burn::tensor::{Bool, Device, Tensor};
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Buffer, Bufferable, Context, CrossEntropyObjective, HostBuffer, Knowledge, Network,
    Objective, Response, TapSelection, Targets, Terms,
};

/// The id that marks the end of the stored ids.
const NO_SAMPLE: i64 = -1;

/// Self-distillation from the last mini-batch (DLB): a network learns from its own predictions in
/// the previous step for the same samples in another view.
///
/// ```text
/// z = student(view 0 of batch t)
/// z' = student(view 1 of batch t − 1)
/// loss = crossentropy([z, z'], [targets of t, targets of t − 1]) + objective(z', z of step t − 1)
/// ```
///
/// The cross-entropy is the mean over the samples of both batches. Each of the two passes through
/// the network separately, so that it is normalized by its batch statistics. The first step has
/// only the cross-entropy, and so has a validation, which has no previous batch. The last batch of
/// an epoch is used in the next epoch too. Batches may differ in size.
///
/// The loader must provide two views of each sample. If there is only one, it is used twice.
///
/// The last batch is part of the record, including its inputs, which therefore must be
/// [`Bufferable`]: a resumed training equals an uninterrupted one. Metrics are of the current
/// batch, and there are none of a teacher. It trains on one device.
///
/// The authors use soft targets at temperature 3 with a weight of 1 as the objective.
///
/// # Example
///
/// ```
/// use burn_distill_core::{Bufferable, Network, Objective};
/// use burn_distill_strategy::LastBatchDistiller;
///
/// fn last_batch<N: Network, O: Objective>(
///     student: N,
///     soft_targets: O,
/// ) -> LastBatchDistiller<N, <N::Input as Bufferable>::Buffers, O>
/// where
///     N::Input: Bufferable,
/// {
///     LastBatchDistiller::new(student, 128, soft_targets)
/// }
/// ```
///
/// # Reference
///
/// Y. Shen, L. Xu, Y. Yang, Y. Li and Y. Guo, [Self-Distillation from the Last Mini-Batch for
/// Consistency Regularization](https://arxiv.org/abs/2203.16172), CVPR 2022. Agrees with the
/// authors' DLB.
#[doc(alias = "DLB")]
#[derive(Module, Debug)]
pub struct LastBatchDistiller<S, M, O> {
    /// Network that is trained.
    pub student: S,
    /// Training objective besides the cross-entropy.
    pub objective: O,
    /// Cross-entropy of both batches with the targets. Its default weight is 1.
    pub cross_entropy: CrossEntropyObjective,
    /// Stored last batch.
    pub last: LastBatch<M>,
    /// Taps that the objective requires.
    #[module(skip)]
    requirements: Resolved<TapSelection>,
}

/// The last batch of a training, and the predictions of the network for it.
#[derive(Module, Debug)]
pub struct LastBatch<M> {
    /// Inputs of the second view.
    pub inputs: M,
    /// Logits of the first view. Shape: `[capacity, num_classes]`.
    pub logits: Buffer<Tensor<2>>,
    /// Targets. Shape: `[capacity, num_classes]`.
    pub targets: Buffer<Tensor<2>>,
    /// One for a labeled sample, zero for an unlabeled one. Shape: `[capacity]`.
    pub labeled: Buffer<Tensor<1>>,
    /// Ids of the samples, −1 after the last one.
    pub ids: HostBuffer,
}

impl<S, O> LastBatchDistiller<S, <S::Input as Bufferable>::Buffers, O>
where
    S: Network,
    S::Input: Bufferable,
    O: Objective,
{
    /// Creates a distiller from a network and an objective besides the cross-entropy, for batches
    /// of at most `batch_size` samples.
    ///
    /// # Panics
    ///
    /// Panics if the objective requires a tap of the teacher, since only responses are stored, or
    /// if the network does not respond with class logits.
    pub fn new(student: S, batch_size: usize, objective: O) -> Self {
        let requirements = objective.requirements().teacher;
        assert!(
            requirements == TapSelection::None,
            "Only responses are stored of the last batch, but the objective requires {requirements:?} of \
             them: use a loss on responses."
        );
        let device = student.devices().first().cloned().unwrap_or_default();
        let device = device.without_autodiff();
        let example = student.valid().forward(student.example(1, &device));
        let [_, num_classes] = classes(&example).dims();
        let logits = Tensor::zeros([batch_size, num_classes], &device);
        let inputs = student.example(batch_size, &device);
        Self {
            last: LastBatch {
                inputs: inputs.into_buffers(),
                targets: Buffer::new(logits.clone()),
                labeled: Buffer::new(Tensor::zeros([batch_size], &device)),
                ids: HostBuffer::new(vec![NO_SAMPLE; batch_size], &device),
                logits: Buffer::new(logits),
            },
            student,
            objective,
            cross_entropy: CrossEntropyObjective::new(1.0),
            requirements: Resolved::default(),
        }
    }
}

impl<S, M, O> LastBatchDistiller<S, M, O>
where
    S: Network,
    S::Input: Bufferable<Buffers = M>,
    M: Module + ModuleDisplay + 'static,
    O: Objective,
{
    fn terms(&self, batch: &Batch<S::Input>) -> (Response, Terms) {
        let now = self.student.forward(batch.view().clone());
        let logits_now = classes(&now);
        let Some(Recalled { last, target }) = self.last.load(batch, &logits_now.device()) else {
            let terms = self.cross_entropy_terms(logits_now, &batch.targets, batch);
            return (now, terms);
        };

        let requirements = self
            .requirements
            .get(|| self.objective.requirements().student);
        let again = self
            .student
            .forward_knowledge(last.view().clone(), requirements);
        let both = vec![logits_now.clone(), classes(&again.response)];
        let targets =
            soft_labels(&batch.targets, &logits_now).and(soft_labels(&last.targets, &logits_now));
        let terms = self.cross_entropy_terms(Tensor::cat(both, 0), &targets.into(), batch);
        let context = Context::new(&again, &target, &last.targets, &last.ids, batch.clock);
        (now, terms.and(self.objective.forward(&context)))
    }

    fn cross_entropy_terms(
        &self,
        logits: Tensor<2>,
        targets: &Targets,
        batch: &Batch<S::Input>,
    ) -> Terms {
        let student = without_taps(logits);
        let context = Context::new(&student, &(), targets, &batch.ids, batch.clock);
        self.cross_entropy.forward(&context)
    }
}

/// The last batch, and the knowledge of the network about it.
struct Recalled<I> {
    last: Batch<I>,
    target: Knowledge,
}

impl<M: Module> LastBatch<M> {
    /// Returns the last batch, if there is one, with the clock of this step and on a device.
    fn load<I: Bufferable<Buffers = M>>(
        &self,
        now: &Batch<I>,
        device: &Device,
    ) -> Option<Recalled<I>> {
        let ids = self.ids.get().into_iter();
        let ids: Vec<_> = ids.map_while(|id| usize::try_from(id).ok()).collect();
        let samples = ids.len();
        if samples == 0 {
            return None;
        }
        let first = |rows: &Buffer<Tensor<2>>| rows.get().narrow(0, 0, samples);
        let targets = SoftLabels {
            probabilities: first(&self.targets),
            labeled: self.labeled.get().narrow(0, 0, samples).greater_scalar(0.0),
        };
        Some(Recalled {
            last: Batch {
                views: vec![I::load(&self.inputs, samples, device)],
                targets: targets.into(),
                ids,
                clock: now.clock,
            },
            target: without_taps(first(&self.logits)),
        })
    }

    /// Stores a batch and the response of the network to it.
    fn store<I: Bufferable<Buffers = M>>(&self, batch: &Batch<I>, response: &Response) {
        let capacity = self.ids.get().len();
        let mut ids: Vec<_> = batch.ids.iter().map(|&id| id as i64).collect();
        assert!(
            ids.len() <= capacity,
            "The last batch may have at most {capacity} samples, but this one has {}: create the \
             distiller with a larger `batch_size`.",
            ids.len()
        );
        let logits = classes(response).without_autodiff();
        let targets = soft_labels(&batch.targets, &logits);
        let other = batch.views.get(1).unwrap_or_else(|| batch.view());
        other.clone().without_autodiff().store(&self.inputs);
        targets.probabilities.store(&self.targets);
        targets.labeled.float().store(&self.labeled);
        logits.store(&self.logits);
        ids.resize(capacity, NO_SAMPLE);
        self.ids.set(ids);
    }
}

/// Returns the class logits of a response.
fn classes(response: &Response) -> Tensor<2> {
    let logits = response.classes().cloned();
    logits.unwrap_or_else(|| {
        panic!("The last batch needs class logits, but the network responds with {response:?}.")
    })
}

/// Targets as probabilities, whatever their form was.
struct SoftLabels {
    probabilities: Tensor<2>,
    labeled: Tensor<1, Bool>,
}

/// Converts the targets of samples with these logits into probabilities.
fn soft_labels(targets: &Targets, logits: &Tensor<2>) -> SoftLabels {
    let [samples, num_classes] = logits.dims();
    let device = logits.device().without_autodiff();
    let all = |value| Tensor::<1, Bool>::full([samples], value, &device);
    let (probabilities, labeled): (Tensor<2>, _) = match targets {
        Targets::Classes { classes, labeled } => {
            let classes = classes.clone().without_autodiff();
            (classes.one_hot(num_classes).float(), labeled.clone())
        }
        Targets::Probabilities {
            probabilities,
            labeled,
        } => (probabilities.clone(), labeled.clone()),
        Targets::Unlabeled => (
            Tensor::zeros([samples, num_classes], &device),
            Some(all(false)),
        ),
        other => {
            panic!("The last batch needs one class per sample, but its targets are {other:?}.")
        }
    };
    SoftLabels {
        probabilities: probabilities.without_autodiff(),
        labeled: labeled.map_or_else(|| all(true), Tensor::without_autodiff),
    }
}

impl SoftLabels {
    fn and(self, other: Self) -> Self {
        Self {
            probabilities: Tensor::cat(vec![self.probabilities, other.probabilities], 0),
            labeled: Tensor::cat(vec![self.labeled, other.labeled], 0),
        }
    }
}

impl From<SoftLabels> for Targets {
    fn from(soft: SoftLabels) -> Self {
        Self::Probabilities {
            probabilities: soft.probabilities,
            labeled: Some(soft.labeled),
        }
    }
}

impl<S, M, O> Distillation for LastBatchDistiller<S, M, O>
where
    S: Network,
    S::Input: Bufferable<Buffers = M>,
    M: Module + ModuleDisplay + 'static,
    O: Objective,
{
    type Input = S::Input;

    /// Computes the loss of a batch, term by term, and the values of its metrics. The batch is not
    /// stored.
    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let (response, terms) = self.terms(batch);
        DistillationOutput::new(terms, &response, None, &batch.targets)
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        let (response, terms) = self.terms(&batch);
        self.last.store(&batch, &response);
        let output = DistillationOutput::new(terms, &response, None, &batch.targets);
        TrainOutput::new(self, output.loss.backward(), output)
    }

    fn validation_step(&self, batch: Batch<S::Input>) -> DistillationOutput {
        let response = self.student.forward(batch.view().clone());
        let terms = self.cross_entropy_terms(classes(&response), &batch.targets, &batch);
        // The loss is the sum of all terms, and this is only one of them.
        DistillationOutput::new(terms, &response, None, &batch.targets).hiding([MetricKind::Loss])
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("Self-distillation from the last batch trains on one device: use one device.")
    }
}

learner_model!([S, M, O] LastBatchDistiller<S, M, O>);
