use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_norm, l2_normalize, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    check, one_line_display,
};

/// Distance between the attention maps of student and teacher.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum AttentionDistance {
    /// Mean of the squared differences, as in the authors' code.
    MeanSquare,
    /// L2 norm of the difference, averaged over samples, as in the paper.
    Norm,
}

/// Configuration to create an [attention transfer loss](AttentionTransferLoss) using the
/// [init function](AttentionTransferLossConfig::init).
#[derive(Config, Debug)]
pub struct AttentionTransferLossConfig {
    /// Power of the activations. At least 1. Default: `2`.
    #[config(default = 2)]
    pub power: u32,
    /// Distance between the attention maps. Default: `MeanSquare`, as in the authors' code.
    #[config(default = "AttentionDistance::MeanSquare")]
    pub distance: AttentionDistance,
}

impl AttentionTransferLossConfig {
    /// Creates an [attention transfer loss](AttentionTransferLoss).
    ///
    /// # Panics
    ///
    /// Panics if `power` is zero.
    pub fn init(&self) -> AttentionTransferLoss {
        self.assert_valid();
        AttentionTransferLoss {
            power: self.power,
            distance: self.distance,
        }
    }
}

impl Check for AttentionTransferLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        // With higher powers, all but the largest activations vanish in `f32`.
        check::count_in("power", self.power as usize, 1..=64)
    }
}

/// Attention transfer (AT): matches the spatial attention maps, computed from all channels of a
/// map.
///
/// ```text
/// attention(F) = normalize(flatten(mean over channels of |F|^power))
/// MeanSquare:  L = mean over samples and pixels of (attention(student) − attention(teacher))²
/// Norm:        L = mean over samples of ‖attention(student) − attention(teacher)‖₂
/// ```
///
/// The larger map is pooled to the size of the smaller. The attention map of a map of zeros is
/// zero, with a zero gradient. The teacher is a constant: no gradient flows to it. Half precision
/// is widened to single.
///
/// # Weights
///
/// The authors use a weight of 1000 for the sum over the three stages of a CIFAR network, beside
/// the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective). Because the loss
/// is a mean over pixels, its value is smaller for large maps.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::AttentionTransferLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[0.0, 1.0]]]], &device); // one channel
/// let teacher = Tensor::<4>::from_data([[[[0.0, 3.0]], [[0.0, -2.0]]]], &device); // two
///
/// let loss = AttentionTransferLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// S. Zagoruyko and N. Komodakis, [Paying More Attention to Attention](
/// https://arxiv.org/abs/1612.03928), ICLR 2017. Agrees with `at_loss` of the authors'
/// attention-transfer and with RepDistiller; `Norm` with the `paper` mode of torchdistill.
#[doc(alias = "AT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AttentionTransferLoss {
    /// Power of the activations.
    pub power: u32,
    /// Distance between the attention maps.
    #[module(skip)]
    pub distance: AttentionDistance,
}

one_line_display!(AttentionTransferLoss: power, ?distance);

impl AttentionTransferLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let batch_size = student.dims()[0];
        assert_shape!(teacher, [batch_size, _, _, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let difference = self.attention(student).sub(self.attention(teacher));
        match self.distance {
            AttentionDistance::MeanSquare => difference.square().mean(),
            AttentionDistance::Norm => l2_norm(difference, 1).mean(),
        }
    }

    /// Returns the attention map as one unit vector per sample. Shape:
    /// `[batch_size, height · width]`.
    fn attention(&self, map: Tensor<4>) -> Tensor<2> {
        let size = match self.power {
            1 => map.abs(),
            2 => map.square(),
            power if power % 2 == 0 => map.powi_scalar(power as i64),
            power => map.abs().powi_scalar(power as i64),
        };
        l2_normalize(size.mean_dim(1).flatten(1, 3), 1)
    }
}

impl NamedLoss for AttentionTransferLoss {
    fn name(&self) -> &'static str {
        "attention-transfer"
    }
}

impl TapLoss for AttentionTransferLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "attention-transfer",
        abbreviation: "AT",
        about: "matches the spatial attention maps",
        kind: "feature",
        aliases: &["at"],
        reference: "Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017",
    };
    LossEntry::new(catalog, 1000.0, |builder| {
        builder.pairs_of(
            DefaultTaps::Stages,
            AttentionTransferLossConfig::new(),
            |config| config.init(),
        )
    })
}
