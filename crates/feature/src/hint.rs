use crate::entry::{Adapted, adapted};
use crate::{HintNormalization, pair_layers};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, masked_mean, match_size, zero_padding,
};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, Tap,
    TapLoss, check_same, one_line_display,
};

/// Reduction of the squared differences of hints.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum HintReduction {
    /// Mean of the squared differences, as in all current implementations.
    Mean,
    /// Half the sum of the squared differences, averaged over samples, as in the paper.
    HalfSum,
}

/// Configuration to create a [hint loss](HintLoss) using the [init function](HintLossConfig::init).
#[derive(Config, Debug)]
pub struct HintLossConfig {
    /// Reduction of the squared differences. Default: `Mean`.
    #[config(default = "HintReduction::Mean")]
    pub reduction: HintReduction,
    /// Normalization of both features before the comparison. Default: `None`.
    #[config(default = "HintNormalization::None")]
    pub normalize: HintNormalization,
}

impl HintLossConfig {
    /// Creates a [hint loss](HintLoss).
    pub fn init(&self) -> HintLoss {
        HintLoss {
            reduction: self.reduction,
            normalize: self.normalize,
        }
    }
}

impl Check for HintLossConfig {}

/// Hints (FitNets): the student's adapted features should equal the teacher's features.
///
/// ```text
/// difference = normalize(adapter(student)) − normalize(teacher)
/// Mean:    L = mean of difference²
/// HalfSum: L = ½ Σ difference² / batch_size
/// ```
///
/// The larger map is pooled to the size of the smaller. If the numbers of features differ, the
/// student needs a [`FeatureAdapter`](burn_distill_architecture::FeatureAdapter). The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// Padding does not count if the mask of the tokens is known: from the responses of student and
/// teacher in a [`TapObjective`](burn_distill_core::TapObjective), also from taps in a
/// [`MultiLayerObjective`](burn_distill_core::MultiLayerObjective), which sums over layers. The
/// adapter is applied before, with zeros in place of padding: batch normalization in an adapter
/// includes these zeros in its statistics.
///
/// # Weights
///
/// RepDistiller uses a weight of 100 for the middle stage, beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective), with a regressor of a convolution, batch
/// normalization and a ReLU. The authors train the student up to its hint layer first, then the
/// whole student on soft targets.
///
/// This weight is meant for convolutional networks. Between hidden states of vision transformers,
/// whose adapter has no normalization, the training diverges in the first epoch with the default
/// optimizer, SGD at a learning rate of 0.05 and a momentum of 0.9: use AdamW, or a weight of at
/// most 10.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
/// use burn_distill_core::{TapPair, TapObjective, Tap};
/// use burn_distill_feature::HintLossConfig;
///
/// let device = Device::default();
/// let student = Tap::Map(Tensor::zeros([2, 16, 8, 8], &device));
/// let teacher = Tap::Map(Tensor::zeros([2, 64, 8, 8], &device));
///
/// let config = FeatureAdapterConfig::new(AdapterKind::Regressor);
/// let adapter = config.init(&student, &teacher, &device)?;
/// let pair = TapPair::new("layer2", "layer2", HintLossConfig::new().init()).with_adapter(adapter);
/// let objective = TapObjective::new([pair], 100.0);
///
/// assert_eq!(objective.name, "hint");
/// # Ok::<(), burn_distill_architecture::AdapterError>(())
/// ```
///
/// # Reference
///
/// A. Romero et al., [FitNets](https://arxiv.org/abs/1412.6550), ICLR 2015. Agrees with `HintLoss`
/// of RepDistiller and mdistiller; `HalfSum` is the formula of the paper.
#[doc(alias = "FitNets")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct HintLoss {
    /// Reduction of the squared differences.
    #[module(skip)]
    pub reduction: HintReduction,
    /// Normalization of both features before the comparison.
    #[module(skip)]
    pub normalize: HintNormalization,
}

one_line_display!(HintLoss: ?reduction, ?normalize);

impl HintLoss {
    /// Computes the loss of a batch of features, the student's after its adapter.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the numbers of channels differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, channels, _, _] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let difference = self
            .normalize
            .forward(student)
            .sub(self.normalize.forward(teacher));
        match self.reduction {
            HintReduction::Mean => difference.square().mean(),
            HintReduction::HalfSum => {
                let samples = batch_size as f64;
                difference.square().sum().div_scalar(2.0 * samples)
            }
        }
    }

    /// Computes the loss of a batch of sequences, the student's after its adapter, over the tokens
    /// that count.
    ///
    /// If no token counts, the loss is zero, still connected to the autodiff graph.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, length, features]`
    /// - mask: `[batch_size, length]`, true for the tokens that count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_masked(
        &self,
        student: Tensor<3>,
        teacher: Tensor<3>,
        mask: Tensor<2, Bool>,
    ) -> Tensor<1> {
        let [batch_size, length, features] = student.dims();
        assert_shape!(teacher, [batch_size, length, features]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let normal = |sequence| {
            let sequence = zero_padding(at_least_f32(sequence), Some(&mask));
            self.normalize.forward_masked(sequence, mask.clone())
        };
        let difference = normal(student)
            .sub(normal(teacher.without_autodiff()))
            .square();
        match self.reduction {
            HintReduction::Mean => {
                masked_mean(difference.mean_dim(2).squeeze_dim::<2>(2), Some(mask))
            }
            HintReduction::HalfSum => {
                let difference = zero_padding(difference, Some(&mask));
                difference.sum().div_scalar(2.0 * batch_size as f64)
            }
        }
    }
}

impl NamedLoss for HintLoss {
    fn name(&self) -> &'static str {
        "hint"
    }
}

impl TapLoss for HintLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        match mask {
            Some(mask) => {
                self.forward_masked(student.into_sequence(), teacher.into_sequence(), mask)
            }
            None => self.forward(student.into_map(), teacher.into_map()),
        }
    }

    fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
        check_same("features", student.channels()?, teacher.channels()?)
    }
}

impl MultiLayerLoss for HintLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        pair_layers(student, teacher)
            .map(|(student, teacher)| self.forward_taps(student, teacher, mask.clone()))
            .reduce(Tensor::add)
            .expect("There is a layer.")
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "hint",
        abbreviation: "FitNets",
        about: "matches the features of a layer",
        kind: "feature",
        aliases: &["fitnet", "fitnets"],
        reference: "Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015",
    };
    LossEntry::new(catalog, 100.0, |builder| {
        let defaults = Adapted {
            taps: DefaultTaps::MiddleStage,
            check: |_, _| Ok(()),
            adapter: |student, teacher| {
                FeatureAdapterConfig::new(AdapterKind::suited(student, teacher))
            },
            weights: |pairs| vec![1.0; pairs],
            config: HintLossConfig::new(),
        };
        adapted(builder, defaults, |config, _| config.init())
    })
}
