use crate::{ReconstructionDistance, ReconstructionObjective};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use burn_distill_architecture::{Paraphraser, ParaphraserConfig, Translator, TranslatorConfig};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_norm, l2_normalize, match_size};
use burn_distill_core::{
    BuiltLoss, CatalogEntry, Check, ConfigError, DefaultTaps, DynObjective, Frozen, Input,
    LossBuilder, LossEntry, LossError, NamedLoss, Preparation, Tap, TapLoss, TapObjective, TapPair,
    check, initialize, one_line_display, trained_bytes,
};
use std::rc::Rc;

/// Distance between the factors of student and teacher.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum FactorDistance {
    /// Mean of the absolute differences, as in the authors' code: `p = 1`.
    MeanAbsolute,
    /// L2 norm of the difference, averaged over samples: `p = 2`.
    Norm,
    /// Mean of the absolute differences between attention maps of the factors: RepDistiller's form,
    /// which is attention transfer with another distance.
    Attention,
}

impl FactorDistance {
    /// Returns the distance of a batch of factors. The teacher's factors are constants.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, factors, height, width]`
    /// - teacher: the same shape
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn between(self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, factors, height, width] = student.dims();
        assert_shape!(teacher, [batch_size, factors, height, width]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let student = self.unit(at_least_f32(student));
        let teacher = self.unit(at_least_f32(teacher.without_autodiff()));
        let difference = student.sub(teacher);
        match self {
            Self::MeanAbsolute | Self::Attention => difference.abs().mean(),
            Self::Norm => l2_norm(difference, 1).mean(),
        }
    }

    /// Returns the compared values, as one unit vector per sample.
    fn unit(self, factors: Tensor<4>) -> Tensor<2> {
        let compared = match self {
            Self::MeanAbsolute | Self::Norm => factors,
            Self::Attention => factors.square().mean_dim(1),
        };
        l2_normalize(compared.flatten(1, 3), 1)
    }
}

/// Configuration to create a [factor transfer loss](FactorTransferLoss) using the
/// [init function](FactorTransferLossConfig::init), and the paraphraser that it needs.
#[derive(Config, Debug)]
pub struct FactorTransferLossConfig {
    /// Distance between factors. Default: `MeanAbsolute`, as in the authors' code.
    #[config(default = "FactorDistance::MeanAbsolute")]
    pub distance: FactorDistance,
    /// Number of channels of a factor, as a multiple of the channels of the teacher's map. Default:
    /// `0.5`, as in the paper.
    #[config(default = 0.5)]
    pub rate: f64,
    /// Whether the paraphraser has batch normalization. Default: `false`, as in the authors' code.
    #[config(default = false)]
    pub paraphraser_norm: bool,
    /// Whether the translator has batch normalization. Default: `false`, as in the authors' code.
    #[config(default = false)]
    pub translator_norm: bool,
}

impl FactorTransferLossConfig {
    /// Creates the paraphraser for the teacher's map, which is trained before the student.
    ///
    /// # Panics
    ///
    /// Panics if `teacher_channels` is zero, or if `rate` is not positive.
    pub fn paraphraser(&self, teacher_channels: usize, device: &Device) -> Paraphraser {
        self.assert_valid();
        ParaphraserConfig::new(teacher_channels)
            .with_rate(self.rate)
            .with_batch_norm(self.paraphraser_norm)
            .init(device)
    }

    /// Creates a [factor transfer loss](FactorTransferLoss) from a trained paraphraser, which is
    /// frozen, and a new translator.
    ///
    /// # Panics
    ///
    /// Panics if the number of channels is zero.
    pub fn init(
        &self,
        student_channels: usize,
        paraphraser: Paraphraser,
        device: &Device,
    ) -> FactorTransferLoss {
        FactorTransferLoss {
            translator: TranslatorConfig::new(student_channels, paraphraser.factors())
                .with_batch_norm(self.translator_norm)
                .init(device),
            paraphraser: Frozen::new(paraphraser),
            distance: self.distance,
        }
    }
}

impl Check for FactorTransferLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::in_range("rate", self.rate, 1e-3..=16.0)
    }
}

/// Factor transfer (FT): matches factors, compressed feature maps that a paraphraser extracts from
/// the teacher and a translator from the student.
///
/// ```text
/// MeanAbsolute: L = mean over samples and elements of |unit(student factor) − unit(teacher factor)|
/// Norm:         L = mean over samples of ‖unit(student factor) − unit(teacher factor)‖₂
///
/// student factor = translator(student)
/// teacher factor = paraphraser.encode(teacher)
/// unit(factor) = flatten(factor) / ‖flatten(factor)‖₂
/// ```
///
/// `Attention` compares `unit(mean over channels of factor²)` instead, with the distance of
/// `MeanAbsolute`. The larger factor is pooled to the size of the smaller. A factor of zeros stays
/// zero, with a zero gradient. The teacher is a constant: no gradient flows to it. Half precision
/// is widened to single.
///
/// The translator is trained with the student. The paraphraser is trained before, by a
/// [`ReconstructionObjective`](crate::ReconstructionObjective), and is a constant here: neither
/// trained nor saved.
///
/// # Weights
///
/// On CIFAR-10 the authors use a weight of 500 for the last stage, beside the [cross-entropy with
/// the labels](burn_distill_core::CrossEntropyObjective), and train the paraphraser for 5 epochs;
/// RepDistiller uses a weight of 200 with `Attention`, and 30 epochs.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::FactorTransferLossConfig;
///
/// let device = Device::default();
/// let config = FactorTransferLossConfig::new();
/// let paraphraser = config.paraphraser(8, &device); // train it before use
///
/// let loss = config.init(6, paraphraser, &device);
/// let student = Tensor::<4>::ones([2, 6, 4, 4], &device);
/// let teacher = Tensor::<4>::ones([2, 8, 8, 8], &device);
///
/// assert!(loss.forward(student, teacher).into_scalar::<f32>() > 0.0);
/// ```
///
/// # Reference
///
/// J. Kim, S. Park and N. Kwak, [Paraphrasing Complex Network: Network Compression via Factor
/// Transfer](https://arxiv.org/abs/1802.04977), NeurIPS 2018. Agrees with `FT` and `L1Loss` of the
/// authors' Factor-Transfer-pytorch and with mmrazor; `Norm` with torchdistill at `p = 2`;
/// `Attention` with `FactorTransfer` of RepDistiller.
#[doc(alias = "FT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct FactorTransferLoss {
    /// Paraphraser that extracts factors from the teacher's map.
    pub paraphraser: Frozen<Paraphraser>,
    /// Translator that extracts factors from the student's map.
    pub translator: Translator,
    /// Distance between factors.
    #[module(skip)]
    pub distance: FactorDistance,
}

one_line_display!(FactorTransferLoss: ?distance, factors = |loss| Some(&loss.translator.factors()));

impl FactorTransferLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, student_channels, height, width]`
    /// - teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ, or if the channels are not those given at creation.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let batch_size = student.dims()[0];
        assert_shape!(teacher, [batch_size, _, _, _]);
        let teacher = self.paraphraser.inner().encode(teacher.without_autodiff());
        let (student, teacher) = match_size(self.translator.forward(student), teacher);
        self.distance.between(student, teacher)
    }
}

impl NamedLoss for FactorTransferLoss {
    fn name(&self) -> &'static str {
        "factor-transfer"
    }
}

impl TapLoss for FactorTransferLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "factor-transfer",
        abbreviation: "FT",
        about: "matches factors of paraphrased feature maps",
        kind: "feature",
        aliases: &["ft"],
        reference: "Kim, Park and Kwak, Paraphrasing Complex Network: Network Compression \
            via Factor Transfer, NeurIPS 2018",
    };
    LossEntry::new(catalog, 500.0, build)
}

/// The authors' number of epochs for the paraphraser.
const PARAPHRASER_EPOCHS: usize = 5;

/// Upper bound of the number of epochs.
const MAX_EPOCHS: usize = 1_000_000;

/// Builds the loss and the preparation that trains its paraphraser.
fn build<I: Input>(mut builder: LossBuilder<'_, I>) -> Result<BuiltLoss<I>, LossError> {
    let context = builder.context();
    let pairs = builder.pairs(DefaultTaps::LastStage)?;
    let [(student, teacher)] = pairs.as_slice() else {
        return Err(LossError::new(format_args!(
            "factor transfer needs one pair of taps, found {}: name one tap of each network",
            pairs.len()
        )));
    };
    let epochs = builder.count("paraphraser_epochs", MAX_EPOCHS)?;
    let epochs = epochs.unwrap_or(PARAPHRASER_EPOCHS);
    let distance = builder.take_typed("reconstruction")?;
    let distance = distance.unwrap_or(ReconstructionDistance::MeanSquare);
    let config = builder.configure(FactorTransferLossConfig::new())?;

    let names = |name: &String| [name.clone()];
    let [student_channels] = builder.channels(&context.student_taps, &names(student))?[..] else {
        return Err(LossError::new(
            "factor transfer needs one tap of each network",
        ));
    };
    let [teacher_channels] = builder.channels(&context.teacher_taps, &names(teacher))?[..] else {
        return Err(LossError::new(
            "factor transfer needs one tap of each network",
        ));
    };
    let width = teacher_channels as f64;
    // The 3×3 convolutions of the paraphraser, encoder and decoder, and of the translator.
    let factors = (width * config.rate).max(1.0);
    let bytes = trained_bytes(9.0 * 4.0 * factors * (factors + width));
    context.fits("rate", config.rate, bytes)?;
    let paraphraser = initialize(config.paraphraser(teacher_channels, &context.device));
    let loss = config.init(student_channels, paraphraser.clone(), &context.device);
    let loss = initialize(loss);
    let reconstruction = ReconstructionObjective::new(paraphraser, teacher).with_distance(distance);

    let pair = TapPair::new(student, teacher, loss);
    let mut objective = None;
    let name = pair.loss.name();
    let mut built = builder.objective(name, |name, weight| {
        let pairs = TapObjective::new([pair], weight).with_name(name);
        objective.insert(pairs).clone()
    })?;
    let Some(objective) = objective else {
        return Ok(built);
    };
    built.preparation = Some(Preparation {
        name: "paraphraser",
        epochs,
        objective: DynObjective::new(reconstruction.clone()),
        finish: Rc::new(move |record| {
            let trained = reconstruction.valid().try_load_record(record);
            let trained = trained.map_err(LossError::new)?;
            let mut objective = objective.clone();
            objective.term.pairs[0].loss.paraphraser = Frozen::new(trained.paraphraser);
            Ok(DynObjective::new(objective))
        }),
    });
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss() -> FactorTransferLoss {
        let device = Device::default();
        let config = FactorTransferLossConfig::new();
        config.init(3, config.paraphraser(4, &device), &device)
    }

    #[test]
    fn display() {
        assert_eq!(
            loss().to_string(),
            "FactorTransferLoss {distance: MeanAbsolute, factors: 2, params: 178}"
        );
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [batch_size, _, _, _]): axis 0 expected 2")]
    fn batch_sizes_must_match() {
        let device = Device::default();
        let map = |shape| Tensor::zeros(shape, &device);
        loss().forward(map([2, 3, 4, 4]), map([3, 4, 4, 4]));
    }
}
