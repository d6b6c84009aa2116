use crate::mutual::peers::saying;
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

/// What stands for the id of no sample.
const NOBODY: i64 = -1;

/// Self-distillation from the last mini-batch (DLB): a network learns from what it said in the step
/// before about the same samples in another view.
///
/// ```text
/// z = student(view 0 of batch t)
/// z' = student(view 1 of batch t − 1)
/// loss = hard([z, z'], [targets of t, targets of t − 1]) + objective(z', what z was in step t − 1)
/// ```
///
/// The cross-entropy is the mean over the samples of both. Each of the two goes through the network
/// on its own, so that it is normalized by its own statistics. The first step has the cross-entropy
/// alone, and so has a validation, which sees one batch at a time. The last batch goes on across
/// epochs; batches of other sizes follow each other without more ado.
///
/// The loader has to make two views of each sample; if there is one only, it is shown twice.
///
/// The last batch is part of the record, inputs included, for which the input has to be
/// [`Bufferable`]: a training that is resumed goes on as if it had not been stopped. Figures are of
/// the batch of the step; it has no teacher. It learns on one device.
///
/// The authors add the soft targets at temperature 3, with a weight of 1.
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
/// ) -> LastBatchDistiller<N, <N::Input as Bufferable>::Memory, O>
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
/// Consistency Regularization](https://arxiv.org/abs/2203.16172), CVPR 2022. Agrees with the authors'
/// DLB.
#[doc(alias = "DLB")]
#[derive(Module, Debug)]
pub struct LastBatchDistiller<S, M, O> {
    /// The network that learns.
    pub student: S,
    /// What it is trained on beside the cross-entropy.
    pub objective: O,
    /// The cross-entropy with the targets, of both batches. Its weight is 1 at first.
    pub hard: CrossEntropyObjective,
    /// What is remembered of the last batch.
    pub last: LastBatch<M>,
    /// The taps that the objective wants.
    #[module(skip)]
    requirements: Resolved<TapSelection>,
}

/// The last batch of a training, and what the network said about it.
#[derive(Module, Debug)]
pub struct LastBatch<M> {
    /// The inputs of the other view.
    pub inputs: M,
    /// What the network said about the first. Shape: `[room, num_classes]`.
    pub logits: Buffer<Tensor<2>>,
    /// The targets. Shape: `[room, num_classes]`.
    pub targets: Buffer<Tensor<2>>,
    /// One for a labeled sample, zero for another. Shape: `[room]`.
    pub labeled: Buffer<Tensor<1>>,
    /// The ids of the samples, −1 where there is none.
    pub ids: HostBuffer,
}

impl<S, O> LastBatchDistiller<S, <S::Input as Bufferable>::Memory, O>
where
    S: Network,
    S::Input: Bufferable,
    O: Objective,
{
    /// A network and what it is trained on beside the cross-entropy, with batches of `batch_size`
    /// samples at most.
    ///
    /// # Panics
    ///
    /// Panics if the objective wants a tap of the teacher, since responses are all that is
    /// remembered, or if the network does not respond with classes.
    pub fn new(student: S, batch_size: usize, objective: O) -> Self {
        let requirements = objective.requirements().teacher;
        assert!(
            requirements == TapSelection::None,
            "Only responses are remembered of the last batch, but {requirements:?} are required."
        );
        let device = student.devices().first().cloned().unwrap_or_default();
        let device = device.without_autodiff();
        let example = student.valid().forward(student.example(1, &device));
        let [_, num_classes] = classes(&example).dims();
        let logits = Tensor::zeros([batch_size, num_classes], &device);
        let inputs = student.example(batch_size, &device);
        Self {
            last: LastBatch {
                inputs: inputs.memory(),
                targets: Buffer::new(logits.clone()),
                labeled: Buffer::new(Tensor::zeros([batch_size], &device)),
                ids: HostBuffer::new(vec![NOBODY; batch_size], &device),
                logits: Buffer::new(logits),
            },
            student,
            objective,
            hard: CrossEntropyObjective::new(1.0),
            requirements: Resolved::default(),
        }
    }
}

impl<S, M, O> LastBatchDistiller<S, M, O>
where
    S: Network,
    S::Input: Bufferable<Memory = M>,
    M: Module + ModuleDisplay + 'static,
    O: Objective,
{
    fn terms(&self, batch: &Batch<S::Input>) -> (Response, Terms) {
        let now = self.student.forward(batch.view().clone());
        let logits_now = classes(&now);
        let Some(Recalled { last, said }) = self.last.recall(batch, &logits_now.device()) else {
            let terms = self.hard_terms(logits_now, &batch.targets, batch);
            return (now, terms);
        };

        let requirements = self
            .requirements
            .get(|| self.objective.requirements().student);
        let again = self
            .student
            .forward_knowledge(last.view().clone(), requirements);
        let both = vec![logits_now.clone(), classes(&again.response)];
        let targets = soft(&batch.targets, &logits_now).and(soft(&last.targets, &logits_now));
        let terms = self.hard_terms(Tensor::cat(both, 0), &targets.into(), batch);
        let context = Context::new(&again, &said, &last.targets, &last.ids, batch.clock);
        (now, terms.and(self.objective.forward(&context)))
    }

    fn hard_terms(&self, logits: Tensor<2>, targets: &Targets, batch: &Batch<S::Input>) -> Terms {
        let student = saying(logits);
        let context = Context::new(&student, &(), targets, &batch.ids, batch.clock);
        self.hard.forward(&context)
    }
}

/// The last batch, and what was said about it.
struct Recalled<I> {
    last: Batch<I>,
    said: Knowledge,
}

impl<M: Module> LastBatch<M> {
    /// The last batch, if there is one, as one of this step on that device.
    fn recall<I: Bufferable<Memory = M>>(
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
        let targets = Soft {
            probabilities: first(&self.targets),
            labeled: self.labeled.get().narrow(0, 0, samples).greater_scalar(0.0),
        };
        Some(Recalled {
            last: Batch {
                views: vec![I::recall(&self.inputs, samples, device)],
                targets: targets.into(),
                ids,
                clock: now.clock,
            },
            said: saying(first(&self.logits)),
        })
    }

    fn remember<I: Bufferable<Memory = M>>(&self, batch: &Batch<I>, said: &Response) {
        let room = self.ids.get().len();
        let mut ids: Vec<_> = batch.ids.iter().map(|&id| id as i64).collect();
        assert!(
            ids.len() <= room,
            "A last batch of up to {room} samples is remembered, but this one has {}.",
            ids.len()
        );
        let logits = classes(said).without_autodiff();
        let targets = soft(&batch.targets, &logits);
        let other = batch.views.get(1).unwrap_or_else(|| batch.view());
        other.clone().without_autodiff().remember(&self.inputs);
        targets.probabilities.remember(&self.targets);
        targets.labeled.float().remember(&self.labeled);
        logits.remember(&self.logits);
        ids.resize(room, NOBODY);
        self.ids.set(ids);
    }
}

/// The class logits of a response.
fn classes(response: &Response) -> Tensor<2> {
    let logits = response.classes().cloned();
    logits.unwrap_or_else(|| panic!("A last batch is of classes, not of {response:?}."))
}

/// Targets of one form, whatever form they had.
struct Soft {
    probabilities: Tensor<2>,
    labeled: Tensor<1, Bool>,
}

/// The targets of samples with these logits.
fn soft(targets: &Targets, logits: &Tensor<2>) -> Soft {
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
        other => panic!("A last batch is of samples with a class each, not of {other:?}."),
    };
    Soft {
        probabilities: probabilities.without_autodiff(),
        labeled: labeled.map_or_else(|| all(true), Tensor::without_autodiff),
    }
}

impl Soft {
    fn and(self, other: Self) -> Self {
        Self {
            probabilities: Tensor::cat(vec![self.probabilities, other.probabilities], 0),
            labeled: Tensor::cat(vec![self.labeled, other.labeled], 0),
        }
    }
}

impl From<Soft> for Targets {
    fn from(soft: Soft) -> Self {
        Self::Probabilities {
            probabilities: soft.probabilities,
            labeled: Some(soft.labeled),
        }
    }
}

impl<S, M, O> Distillation for LastBatchDistiller<S, M, O>
where
    S: Network,
    S::Input: Bufferable<Memory = M>,
    M: Module + ModuleDisplay + 'static,
    O: Objective,
{
    type Input = S::Input;

    /// Computes the loss of a batch, term by term, and the figures that metrics are made of. The batch
    /// is not remembered.
    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let (response, terms) = self.terms(batch);
        DistillationOutput::new(terms, &response, None, &batch.targets)
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        let (response, terms) = self.terms(&batch);
        self.last.remember(&batch, &response);
        let output = DistillationOutput::new(terms, &response, None, &batch.targets);
        TrainOutput::new(self, output.loss.backward(), output)
    }

    fn validation_step(&self, batch: Batch<S::Input>) -> DistillationOutput {
        let response = self.student.forward(batch.view().clone());
        let terms = self.hard_terms(classes(&response), &batch.targets, &batch);
        // The sum of all terms is the loss, and this is but one of them.
        DistillationOutput::new(terms, &response, None, &batch.targets).hiding([MetricKind::Loss])
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("A network that remembers its last batch learns on one device.")
    }
}

learner_model!([S, M, O] LastBatchDistiller<S, M, O>);
