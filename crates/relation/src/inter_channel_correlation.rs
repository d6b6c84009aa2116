use crate::ChannelEmbeddingConfig;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_normalize};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss, TapPair,
    one_line_display,
};

/// Configuration to create an [inter-channel correlation loss](InterChannelCorrelationLoss) using
/// the [init function](InterChannelCorrelationLossConfig::init).
#[derive(Config, Debug)]
pub struct InterChannelCorrelationLossConfig {}

impl InterChannelCorrelationLossConfig {
    /// Creates an [inter-channel correlation loss](InterChannelCorrelationLoss).
    pub fn init(&self) -> InterChannelCorrelationLoss {
        InterChannelCorrelationLoss {}
    }
}

impl Check for InterChannelCorrelationLossConfig {}

/// Inter-channel correlation (ICKD): matches the correlations between the channels of a map.
///
/// ```text
/// M = F Fᵀ,    F flattened to [channels, pixels], each row of M divided by its L2 norm
/// L = mean over samples of Σ over pairs of channels of (M(student) − M(teacher))² / channels
/// ```
///
/// The loss does not change if the pixels of either network are permuted or if the map of a sample
/// is scaled, and the maps may differ in height and width. Student and teacher need the same number
/// of channels, which are compared one by one: the authors always apply a [channel
/// embedding](crate::ChannelEmbedding) to the student's map first, also where the numbers are
/// equal. A channel of zeros passes no gradient. The teacher is a constant: no gradient flows to
/// it. Half precision is widened to single.
///
/// # Weights
///
/// The authors' documentation uses a weight of 2.5 for the last map, beside the [cross-entropy with
/// the labels](burn_distill_core::CrossEntropyObjective); their script uses 4.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_core::{TapPair, TapObjective};
/// use burn_distill_relation::{ChannelEmbeddingConfig, InterChannelCorrelationLossConfig};
///
/// let loss = InterChannelCorrelationLossConfig::new().init();
/// let embedding = ChannelEmbeddingConfig::new(64, 256).init(&Device::default());
/// let pair = TapPair::new("layer3", "layer3", loss).with_adapter(embedding);
///
/// let objective = TapObjective::new([pair], 2.5);
/// ```
///
/// # Reference
///
/// L. Liu, Q. Huang, S. Lin, H. Xie, B. Wang, X. Chang and X. Liang, [Exploring Inter-Channel
/// Correlation for Diversity-Preserved Knowledge Distillation](https://arxiv.org/abs/2202.03680),
/// ICCV 2021. Agrees with `ICKDLoss` of the authors' code for classification.
#[doc(alias = "ICKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct InterChannelCorrelationLoss {}

one_line_display!(InterChannelCorrelationLoss);

impl InterChannelCorrelationLoss {
    /// Computes the loss of a batch of maps with the same channels.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the channels differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, channels, ..] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = correlations(at_least_f32(teacher.without_autodiff()));
        let student = correlations(at_least_f32(student));
        let rows = (batch_size * channels) as f64;
        student.sub(teacher).square().sum().div_scalar(rows)
    }
}

/// Returns the correlations between channels, each row of unit length. Shape:
/// `[batch_size, channels, channels]`.
fn correlations(map: Tensor<4>) -> Tensor<3> {
    let channels = map.flatten::<3>(2, 3);
    let gram = channels.clone().matmul(channels.transpose());
    l2_normalize(gram, 2)
}

impl NamedLoss for InterChannelCorrelationLoss {
    fn name(&self) -> &'static str {
        "inter-channel-correlation"
    }
}

impl TapLoss for InterChannelCorrelationLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "inter-channel-correlation",
        abbreviation: "ICKD",
        about: "matches correlations between channels",
        kind: "relation",
        aliases: &["ickd"],
        reference: "Liu et al., Exploring Inter-Channel Correlation for Diversity-Preserved \
            Knowledge Distillation, ICCV 2021",
    };
    LossEntry::new(catalog, 2.5, |mut builder| {
        let pairs = builder.pairs(DefaultTaps::LastStage)?;
        let loss = builder
            .configure(InterChannelCorrelationLossConfig::new())?
            .init();
        let context = builder.context();
        builder.pairs_of_channels(pairs, |student, teacher, [inputs, outputs]| {
            let embedding = ChannelEmbeddingConfig::new(inputs, outputs).init(&context.device);
            TapPair::new(student, teacher, loss.clone()).with_adapter(embedding)
        })
    })
}
