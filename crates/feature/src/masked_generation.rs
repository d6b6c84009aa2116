use burn::config::Config;
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Bool, Device, Tensor, TensorData, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, match_size};
use burn_distill_core::{
    CatalogEntry, Check, Clock, ConfigError, Context, DefaultTaps, Input, KeyedRng, LossEntry,
    LossError, LossTerm, NamedLoss, Requirements, Tap, TapPair, TapSelection, Weighted, check,
    one_line_display, trained_bytes,
};

/// Tells these random numbers apart from others with the same seed.
const PURPOSE: u64 = 0x004d_4744;

/// Parts of a map that a mask hides.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum MaskedPart {
    /// Positions, with all of their channels, as the authors do for detection and segmentation.
    Positions,
    /// Channels, at all positions, as the authors do for classification.
    Channels,
}

impl MaskedPart {
    /// Returns the default probability that a part is hidden, and the default weight of the term.
    fn defaults(self) -> (f64, f64) {
        match self {
            Self::Positions => (0.65, 2e-5),
            Self::Channels => (0.15, 7e-5),
        }
    }
}

/// Configuration to create a [masked generation loss](MaskedGenerationLoss) using the
/// [init function](MaskedGenerationLossConfig::init).
#[derive(Config, Debug)]
pub struct MaskedGenerationLossConfig {
    /// Parts of the student's map that the mask hides. Default: `Positions`.
    #[config(default = "MaskedPart::Positions")]
    pub mask: MaskedPart,
    /// Probability that a part is hidden, from 0 to below 1. Default: `0.65` for positions, `0.15`
    /// for channels, as in the authors' configurations for RetinaNet and for ImageNet.
    pub ratio: Option<f64>,
    /// Seed of the masks. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl MaskedGenerationLossConfig {
    /// Creates a [masked generation loss](MaskedGenerationLoss) between maps with these numbers of
    /// channels. The student's map is aligned by a convolution only if the numbers differ.
    ///
    /// # Panics
    ///
    /// Panics if the ratio is not from 0 to below 1.
    pub fn init(
        &self,
        student_channels: usize,
        teacher_channels: usize,
        device: &Device,
    ) -> MaskedGenerationLoss {
        self.assert_valid();
        let conv = |inputs, kernel: usize| {
            let padding = kernel / 2;
            Conv2dConfig::new([inputs, teacher_channels], [kernel, kernel])
                .with_padding(PaddingConfig2d::Explicit(
                    padding, padding, padding, padding,
                ))
                .init(device)
        };
        MaskedGenerationLoss {
            align: (student_channels != teacher_channels).then(|| conv(student_channels, 1)),
            generation: [conv(teacher_channels, 3), conv(teacher_channels, 3)],
            mask: self.mask,
            ratio: self.ratio(),
            seed: self.seed,
        }
    }

    fn ratio(&self) -> f64 {
        self.ratio.unwrap_or(self.mask.defaults().0)
    }
}

impl Check for MaskedGenerationLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let ratio = self.ratio();
        check::ensure(
            (0.0..1.0).contains(&ratio), // Also rejects NaN
            "ratio",
            "from 0 to below 1",
            ratio,
        )
    }
}

/// Masked generative distillation (MGD): generates the teacher's whole map from the student's map
/// with random parts hidden.
///
/// ```text
/// hidden = align(student), with zeros in the parts that the mask hides
/// L = Σ (conv(relu(conv(hidden))) − teacher)² / batch_size
/// ```
///
/// `align` is a 1×1 convolution, only there if the numbers of channels differ. Both convolutions
/// of the generation are padded, 3×3 and as wide as the teacher. They train with the student and
/// are not part of the deployed network. The mask is a new one for every sample and step. Each part
/// is hidden with the probability `ratio`, independently of the others. It depends only on the seed,
/// on the [step](Clock::step) and on the place of the sample in the batch, so a resumed training
/// has the same masks. The values that stay are not scaled up.
///
/// The larger map is pooled to the size of the smaller. The teacher is a constant: no gradient flows
/// to it. Half precision is widened to single.
///
/// # Weights
///
/// The loss is a sum over channels and positions, so its weight is small: in the authors'
/// configurations 2e-5 for detection and segmentation, and 7e-5 for ImageNet, beside the loss of the
/// task.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{Clock, TapPair};
/// use burn_distill_feature::{MaskedGenerationLossConfig, MaskedGenerationObjective};
///
/// let device = Device::default();
/// let mgd = MaskedGenerationLossConfig::new().init(16, 64, &device);
///
/// // Between tensors:
/// let student = Tensor::zeros([2, 16, 8, 8], &device);
/// let teacher = Tensor::zeros([2, 64, 4, 4], &device);
/// let loss = mgd.forward(student, teacher, Clock::start());
/// assert_eq!(loss.dims(), [1]);
///
/// // As a weighted term of the loss of a student:
/// let objective = MaskedGenerationObjective::new([TapPair::new("layer3", "layer3", mgd)], 2e-5);
/// assert_eq!(objective.name, "masked-generation");
/// ```
///
/// # Reference
///
/// Z. Yang et al., [Masked Generative Distillation](https://arxiv.org/abs/2205.01529), ECCV 2022.
/// Agrees with `FeatureLoss` and, for channels, with `MGDLoss` of the authors' MGD, given the mask.
#[doc(alias = "MGD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MaskedGenerationLoss {
    /// Convolution from the student's channels to the teacher's, if the numbers differ.
    pub align: Option<Conv2d>,
    /// Convolutions that generate the teacher's map, with a ReLU between them.
    pub generation: [Conv2d; 2],
    /// Parts of the map that the mask hides.
    #[module(skip)]
    pub mask: MaskedPart,
    /// Probability that a part is hidden.
    pub ratio: f64,
    /// Seed of the masks.
    #[module(skip)]
    pub seed: u64,
}

one_line_display!(
    MaskedGenerationLoss: channels = |loss| Some(&loss.generation[0].weight.lazy_shape()[0]),
    ?mask, ratio, ?seed
);

impl MaskedGenerationLoss {
    /// Computes the loss of a batch of maps, with the masks of a step.
    ///
    /// A loop of your own has to pass the clock of its batch: an [unstamped](Clock::unstamped) clock
    /// gives all steps the same masks.
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
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>, clock: Clock) -> Tensor<1> {
        let [batch_size, _, height, width] = student.dims();
        let [_, channels, teacher_height, teacher_width] = teacher.dims();
        let size = [height.min(teacher_height), width.min(teacher_width)];
        let kept = self.kept(
            [batch_size, channels, size[0], size[1]],
            clock,
            &student.device(),
        );
        self.forward_masked(student, teacher, kept)
    }

    /// Computes the loss of a batch of maps with a given mask.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, student_channels, height, width]`
    /// - teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - kept: true for the parts that are not hidden: `[batch_size, 1, height, width]`, or
    ///   `[batch_size, teacher_channels, 1, 1]`, or a full map; height and width are the smaller
    ///   ones of both maps
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ, or if the channels are not those given at creation.
    pub fn forward_masked(
        &self,
        student: Tensor<4>,
        teacher: Tensor<4>,
        kept: Tensor<4, Bool>,
    ) -> Tensor<1> {
        let batch_size = student.dims()[0];
        let [channels, ..] = self.generation[0].weight.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let student = match &self.align {
            Some(align) => align.forward(student),
            None => student,
        };
        let hidden = kept.bool_not().expand(student.shape());
        let [first, second] = &self.generation;
        let generated = second.forward(relu(first.forward(student.mask_fill(hidden, 0.0))));
        generated
            .sub(teacher)
            .square()
            .sum()
            .div_scalar(batch_size as f64)
    }

    /// Draws the masks of a step: true for the parts that are not hidden.
    ///
    /// # Shapes
    ///
    /// - output: `[batch_size, 1, height, width]` for positions, `[batch_size, channels, 1, 1]` for
    ///   channels
    pub fn kept(&self, map: [usize; 4], clock: Clock, device: &Device) -> Tensor<4, Bool> {
        let [batch_size, channels, height, width] = map;
        let shape = match self.mask {
            MaskedPart::Positions => [batch_size, 1, height, width],
            MaskedPart::Channels => [batch_size, channels, 1, 1],
        };
        let parts: usize = shape[1..].iter().product();
        let mut kept = Vec::with_capacity(batch_size * parts);
        for row in 0..batch_size {
            let key = [self.seed, clock.step() as u64, row as u64, PURPOSE];
            let mut rng = KeyedRng::new(key);
            kept.extend((0..parts).map(|_| !rng.chance(self.ratio)));
        }
        Tensor::from_data(TensorData::new(kept, shape), device)
    }
}

impl NamedLoss for MaskedGenerationLoss {
    fn name(&self) -> &'static str {
        "masked-generation"
    }
}

/// The term of a [masked generation loss](MaskedGenerationLoss) between pairs of taps, each with a
/// loss of its own: see [`MaskedGenerationObjective`].
#[derive(Module, Debug)]
pub struct MaskedGenerationTerm {
    /// Pairs of taps.
    pub pairs: Vec<TapPair<MaskedGenerationLoss>>,
}

/// A [masked generation loss](MaskedGenerationLoss) between pairs of taps, as one weighted term.
///
/// The step of the masks is that of the batch.
pub type MaskedGenerationObjective = Weighted<MaskedGenerationTerm>;

impl<P: IntoIterator<Item = TapPair<MaskedGenerationLoss>>> From<P> for MaskedGenerationTerm {
    /// Creates the term from its pairs.
    ///
    /// # Panics
    ///
    /// Panics if there are no pairs.
    fn from(pairs: P) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        assert!(
            !pairs.is_empty(),
            "There should be at least one pair of taps, but there is none."
        );
        Self { pairs }
    }
}

impl NamedLoss for MaskedGenerationTerm {
    fn name(&self) -> &'static str {
        "masked-generation"
    }
}

impl LossTerm for MaskedGenerationTerm {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(self.pairs.iter().map(|pair| &pair.student)),
            teacher: TapSelection::named(self.pairs.iter().map(|pair| &pair.teacher)),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let values = self.pairs.iter().map(|pair| {
            let student = map_of(context.student.taps.expect(&pair.student), &pair.student);
            let teacher = map_of(context.teacher.taps.expect(&pair.teacher), &pair.teacher);
            let loss = pair.loss.forward(student, teacher, context.clock);
            loss.mul_scalar(pair.weight)
        });
        values.reduce(Tensor::add).expect("There is a pair.")
    }
}

/// Returns the map of a tap.
///
/// # Panics
///
/// Panics if the tap is of another kind.
fn map_of(tap: Tap, name: &str) -> Tensor<4> {
    match check_map(&tap, name) {
        Ok(()) => tap.into_map(),
        Err(error) => panic!("{error}"),
    }
}

/// Checks that a tap is a map: padding of a sequence would be hidden and generated like any token.
fn check_map(tap: &Tap, name: &str) -> Result<(), LossError> {
    match tap {
        Tap::Map(_) => Ok(()),
        other => Err(LossError::new(format_args!(
            "masked generation compares maps, but the kind of the tap `{name}` is {}: name a tap of a \
             convolutional layer",
            other.kind()
        ))),
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "masked-generation",
        abbreviation: "MGD",
        about: "generates the map of the teacher from a masked one",
        kind: "feature",
        aliases: &["mgd"],
        reference: "Yang et al., Masked Generative Distillation, ECCV 2022",
    };
    LossEntry::new(
        catalog,
        MaskedPart::Positions.defaults().1,
        |mut builder| {
            let context = builder.context();
            let names = builder.pairs(DefaultTaps::LastStage)?;
            for (student, teacher) in &names {
                check_map(context.student_taps.get(student)?, student)?;
                check_map(context.teacher_taps.get(teacher)?, teacher)?;
            }
            let config = builder.configure(MaskedGenerationLossConfig::new())?;
            builder.set_default_weight(config.mask.defaults().1);
            let (students, teachers): (Vec<_>, Vec<_>) = names.iter().cloned().unzip();
            let inputs = builder.channels(&context.student_taps, &students)?;
            let outputs = builder.channels(&context.teacher_taps, &teachers)?;
            let parameters = inputs.iter().zip(&outputs).map(|(&input, &output)| {
                // Two convolutions of nine weights, and one of a single weight.
                output as f64 * (18.0 * output as f64 + input as f64)
            });
            context.fits(
                "teacher",
                teachers.join(", "),
                trained_bytes(parameters.sum()),
            )?;
            let channels = inputs.into_iter().zip(outputs);
            let pairs = names.into_iter().zip(channels).zip(0..);
            let pairs = pairs.map(|(((student, teacher), (input, output)), index)| {
                // Each pair has masks of its own.
                let config = config.clone().with_seed(config.seed.wrapping_add(index));
                TapPair::new(
                    student,
                    teacher,
                    config.init(input, output, &context.device),
                )
            });
            builder.term(MaskedGenerationTerm::from(pairs.collect::<Vec<_>>()))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::{Knowledge, Objective, parameter_count};

    const MAP: [usize; 4] = [4, 3, 8, 8];

    fn at(step: usize) -> Clock {
        Clock {
            epoch: 1,
            batch: step,
            batches: 100,
        }
    }

    fn kept(config: &MaskedGenerationLossConfig, step: usize) -> Vec<bool> {
        let device = Device::default();
        let loss = config.init(3, 3, &device);
        let kept = loss.kept(MAP, at(step), &device);
        kept.into_data().iter::<bool>().collect()
    }

    #[test]
    fn masks_depend_on_seed_and_step_and_sample_only() {
        let config = MaskedGenerationLossConfig::new();
        let first = kept(&config, 3);

        assert_eq!(first.len(), 4 * 64);
        assert_eq!(first, kept(&config, 3));
        assert_ne!(first, kept(&config, 4));
        assert_ne!(first, kept(&config.clone().with_seed(1), 3));
        assert_ne!(first[..64], first[64..128]);
        // A smaller batch has the masks of its samples.
        let device = Device::default();
        let loss = config.init(3, 3, &device);
        let two = loss.kept([2, 3, 8, 8], at(3), &device).into_data();
        assert_eq!(two.iter::<bool>().collect::<Vec<_>>(), first[..128]);
    }

    #[test]
    fn the_ratio_is_the_frequency_of_hidden_parts() {
        for (part, parts, ratio) in [
            (MaskedPart::Positions, 64, 0.65),
            (MaskedPart::Channels, 3, 0.15),
        ] {
            let config = MaskedGenerationLossConfig::new().with_mask(part);
            let masks: Vec<_> = (0..250).flat_map(|step| kept(&config, step)).collect();

            assert_eq!(masks.len(), 250 * 4 * parts);
            let count = masks.len() as f64;
            let hidden = masks.iter().filter(|kept| !**kept).count() as f64 / count;
            // Five standard deviations.
            let tolerance = 5.0 * (ratio * (1.0 - ratio) / count).sqrt();
            assert!((hidden - ratio).abs() < tolerance, "{part:?}: {hidden}");
        }
        let nothing = MaskedGenerationLossConfig::new().with_ratio(Some(0.0));
        assert!(kept(&nothing, 0).into_iter().all(|kept| kept));
    }

    #[test]
    fn the_term_takes_the_step_of_the_batch_and_sums_over_pairs() {
        let device = Device::default();
        let map = |value: f32| Tensor::<4>::full([2, 3, 4, 4], value, &device);
        let loss = MaskedGenerationLossConfig::new().init(3, 3, &device);
        let term = MaskedGenerationTerm::from([
            TapPair::new("a", "b", loss.clone()),
            TapPair::new("b", "a", loss.clone()).with_weight(0.5),
        ]);
        let logits = || Tensor::<2>::zeros([2, 4], &device);
        let (student, teacher) = (
            Knowledge::from_logits(logits()).with_taps([("a", map(1.0)), ("b", map(2.0))]),
            Knowledge::from_logits(logits()).with_taps([("a", map(-1.0)), ("b", map(3.0))]),
        );
        let objective = MaskedGenerationObjective::of(term, 2.0);
        let total = |step| {
            let context = Context::of(&student, &teacher).with_clock(at(step));
            objective.forward(&context).total().into_scalar::<f32>()
        };
        let value = |a, b, step| loss.forward(map(a), map(b), at(step)).into_scalar::<f32>();

        let expected = 2.0 * (value(1.0, 3.0, 7) + 0.5 * value(2.0, -1.0, 7));
        assert!((total(7) / expected - 1.0).abs() < 1e-5);
        assert_ne!(total(7), total(8));
    }

    #[test]
    fn maps_of_the_same_width_are_not_aligned() {
        let device = Device::default();
        let count = |student| {
            let loss = MaskedGenerationLossConfig::new().init(student, 5, &device);
            parameter_count(&loss)
        };

        let generation = 2 * (5 * 5 * 9 + 5);
        assert_eq!(count(5), generation);
        assert_eq!(count(3), generation + 3 * 5 + 5);
    }

    #[test]
    #[should_panic(expected = "`ratio` should be from 0 to below 1, but is 1")]
    fn something_must_stay() {
        let config = MaskedGenerationLossConfig::new().with_ratio(Some(1.0));
        config.init(3, 3, &Device::default());
    }

    #[test]
    #[should_panic(expected = "the kind of the tap `hidden` is vector")]
    fn vectors_are_refused() {
        let device = Device::default();
        let loss = MaskedGenerationLossConfig::new().init(3, 3, &device);
        let term = MaskedGenerationTerm::from([TapPair::new("hidden", "hidden", loss)]);
        let vectors = Tensor::<2>::zeros([2, 3], &device);
        let knowledge = Knowledge::from_logits(vectors.clone()).with_taps([("hidden", vectors)]);
        term.value(&Context::of(&knowledge, &knowledge));
    }
}
