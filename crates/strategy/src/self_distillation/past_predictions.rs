use super::{SelfTeacher, TeachingPhase};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{Batch, Buffer, Knowledge, Network, Response, TapSelection, Taps, indices};

/// The smallest probability of a target, so that its logarithm is finite.
const LEAST: f64 = 1e-30;

/// Progressive self-knowledge distillation (PS-KD): the teacher is the network's own prediction for
/// each sample in the previous epoch.
///
/// Its response is the logarithm of the stored probabilities, so that these are the target at
/// temperature 1. For a sample without a stored prediction, the target is the label, or a uniform
/// distribution if the sample has no label.
///
/// The authors train on a target that moves from the label to the past prediction `P`. With soft
/// cross-entropy, these are two terms whose weights change with the epoch `e` of `E`:
///
/// ```text
/// t = (1 − α) y + α P,    α = 0.8 · e / E
/// crossentropy(t) = (1 − α) · crossentropy(y) + α · crossentropy(P)
/// ```
///
/// The accuracy of the teacher and the agreement with it are those of the stored predictions. They
/// are not shown in the first epoch and in a validation, where only the accuracy of the network is
/// shown.
///
/// The stored predictions are part of the record. Those of samples with an id beyond the length of
/// the memory are not stored.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_core::{ChangingWeight, CrossEntropyObjective};
/// use burn_distill_strategy::PastPredictions;
///
/// let epochs = 300;
/// let to_past = ChangingWeight::Linear { from: 0.0, to: 0.8, epochs };
/// let from_label = ChangingWeight::Linear { from: 1.0, to: 0.2, epochs };
/// // Plus soft cross-entropy at temperature 1, with the weight `to_past`.
/// let labels = CrossEntropyObjective::new(from_label);
/// let teacher = PastPredictions::new(50_000, 100, &Device::default());
/// ```
///
/// # Reference
///
/// K. Kim, B. Ji, D. Yoon and S. Hwang, [Self-Knowledge Distillation with Progressive Refinement of
/// Targets](https://arxiv.org/abs/2006.12000), ICCV 2021. Agrees with the authors' PS-KD-Pytorch.
#[doc(alias = "PS-KD")]
#[derive(Module, Debug)]
pub struct PastPredictions {
    /// The probabilities of each sample, by its id; zeros if it was not seen. Shape:
    /// `[samples, num_classes]`.
    pub memory: Buffer<Tensor<2>>,
}

impl PastPredictions {
    /// Creates an empty memory for samples with ids below `samples`.
    pub fn new(samples: usize, num_classes: usize, device: &Device) -> Self {
        Self {
            memory: Buffer::new(Tensor::zeros([samples, num_classes], device)),
        }
    }

    /// Returns the stored predictions for the samples of a batch, or else the distribution of their
    /// label. Shape: `[batch_size, num_classes]`.
    fn recall<I: burn_distill_core::Input>(&self, batch: &Batch<I>) -> Tensor<2> {
        let memory = self.memory.get();
        let [samples, num_classes] = memory.dims();
        let device = memory.device();
        let rows: Vec<_> = batch
            .ids
            .iter()
            .map(|&id| if id < samples { id } else { 0 })
            .collect();
        let recalled = memory.select(0, indices(&rows, &device));

        // A row of zeros has no stored prediction, and a row beyond the memory was replaced by row
        // 0.
        let known: Vec<_> = batch.ids.iter().map(|&id| id < samples).collect();
        let known = TensorData::new(known, [rows.len(), 1]);
        let known = Tensor::<2, Bool>::from_data(known, &device);
        let seen = recalled.clone().sum_dim(1).greater_scalar(0.0);
        let unseen = seen.bool_and(known).bool_not().expand(recalled.shape());

        let uniform = recalled.full_like(1.0 / num_classes as f64);
        let known = match batch.targets.class_labels() {
            None => uniform,
            Some((classes, labeled)) => {
                let certain: Tensor<2> = classes.without_autodiff().one_hot(num_classes).float();
                let certain = certain.cast(recalled.dtype());
                match labeled {
                    None => certain,
                    Some(labeled) => {
                        let labeled = labeled.without_autodiff().unsqueeze_dim::<2>(1);
                        uniform.mask_where(labeled.expand([rows.len(), num_classes]), certain)
                    }
                }
            }
        };
        recalled.mask_where(unseen, known)
    }
}

impl<S: Network> SelfTeacher<S> for PastPredictions {
    fn teach(&self, _: &S, batch: &Batch<S::Input>, selection: &TapSelection) -> Knowledge {
        assert!(
            *selection == TapSelection::None,
            "Past predictions have no taps, but the objective requires {selection:?} of them: use a loss on \
             responses."
        );
        Knowledge {
            response: Response::Classes(self.recall(batch).clamp_min(LEAST).log()),
            taps: Taps::default(),
        }
    }

    fn has_knowledge(&self, batch: &Batch<S::Input>, phase: TeachingPhase) -> bool {
        // In the first epoch, and for validation samples, no predictions are stored.
        phase == TeachingPhase::Training && batch.clock.epoch > 1
    }

    fn observe(&self, student: &Knowledge, batch: &Batch<S::Input>) {
        let Some(logits) = student.response.classes() else {
            panic!(
                "Past predictions need class logits, but the network responds with {:?}.",
                student.response
            );
        };
        let memory = self.memory.get();
        let samples = memory.dims()[0];
        let known = |&(_, id): &(usize, usize)| id < samples;
        let (rows, ids): (Vec<_>, Vec<_>) =
            batch.ids.iter().copied().enumerate().filter(known).unzip();
        if ids.is_empty() {
            return;
        }
        let logits = at_least_f32(logits.clone().without_autodiff());
        let logits = logits.select(0, indices(&rows, &memory.device()));
        self.memory.set_rows(&ids, softmax(logits, 1));
    }
}
