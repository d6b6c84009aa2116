use burn::config::Config;
use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::{log_sigmoid, relu, softmax};
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use burn_distill_architecture::ChannelAdapterConfig;
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_norm, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    TapPair, check,
};
use std::f64::consts::SQRT_2;

/// Configuration to create a [channel attention loss](ChannelAttentionLoss) using the
/// [init function](ChannelAttentionLossConfig::init).
#[derive(Config, Debug)]
pub struct ChannelAttentionLossConfig {
    /// Number of hidden features of the attention, as a multiple of the channels. Must be positive
    /// and finite. Default: `1.0`.
    #[config(default = 1.0)]
    pub factor: f64,
}

impl ChannelAttentionLossConfig {
    /// Creates a [channel attention loss](ChannelAttentionLoss) for maps with this number of
    /// channels.
    ///
    /// # Panics
    ///
    /// Panics if `factor` is not positive and finite, or if `channels` is zero.
    pub fn init(&self, channels: usize, device: &Device) -> ChannelAttentionLoss {
        self.assert_valid();
        assert!(
            channels > 0,
            "The number of channels must be at least 1, found 0."
        );
        let middle = ((channels as f64 * self.factor) as usize).max(1);
        ChannelAttentionLoss {
            squeeze: linear([channels, middle], device),
            excite: linear([middle, channels], device),
        }
    }
}

impl Check for ChannelAttentionLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::in_range("factor", self.factor, 1e-3..=16.0)
    }
}

/// Creates a linear layer with He-normal weights (fan-out) and a bias of zeros.
fn linear([inputs, outputs]: [usize; 2], device: &Device) -> Linear {
    let weights = Initializer::KaimingNormal {
        gain: SQRT_2,
        fan_out_only: true,
    };
    let linear = LinearConfig::new(inputs, outputs)
        .with_initializer(weights)
        .init(device);
    Linear {
        bias: Some(Initializer::Zeros.init([outputs], device)),
        ..linear
    }
}

/// Attentive feature distillation (AFD): matches the channels of normalized maps, weighted by an
/// attention computed from the teacher.
///
/// ```text
/// attention = σ / Σσ,    σ = sigmoid(excite(relu(squeeze(mean over pixels of teacher))))
/// unit(F) = each channel of F, divided by its norm over the pixels + 1e-6
/// L = mean over samples of Σ over channels of
///     attention · mean over pixels of (unit(student) − unit(teacher))²
/// ```
///
/// The attention is trained with the student. A dead channel stays zero, with a zero gradient. The
/// larger map is pooled to the size of the smaller. The teacher is a constant: no gradient flows to
/// it. Half precision is widened to single.
///
/// # Weights
///
/// Knowledge-Distillation-Zoo uses a weight of 500 for the mean over the three stages of a CIFAR
/// network, beside 1 for the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::ChannelAttentionLossConfig;
///
/// let device = Device::default();
/// let loss = ChannelAttentionLossConfig::new().init(2, &device);
/// let student = Tensor::<4>::from_data([[[[0.0, 1.0]], [[2.0, 0.0]]]], &device);
/// let teacher = Tensor::<4>::from_data([[[[0.0, 3.0]], [[4.0, 0.0]]]], &device); // only larger
///
/// assert!(loss.forward(student, teacher).into_scalar::<f32>() < 1e-6);
/// ```
///
/// # Reference
///
/// K. Wang, X. Gao, Y. Zhao, X. Li, D. Dou and C.-Z. Xu, [Pay Attention to Features, Transfer Learn
/// Faster CNNs](https://openreview.net/forum?id=ryxyCeHtPB), ICLR 2020. Agrees with `AFD` of
/// Knowledge-Distillation-Zoo, which replaced a softmax by the normalized sigmoid.
#[doc(alias = "AFD")]
#[doc(alias = "AFDS")]
#[derive(Module, Debug)]
pub struct ChannelAttentionLoss {
    /// Linear layer from the channels to the hidden features of the attention.
    pub squeeze: Linear,
    /// Linear layer from the hidden features of the attention to the channels.
    pub excite: Linear,
}

impl ChannelAttentionLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the numbers of channels differ, or if the number of channels is
    /// not the one given at creation.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, channels, ..] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let attention = self.attention(teacher.clone());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let distance = unit(student).sub(unit(teacher)).square().mean_dim(2);
        attention
            .mul(distance.squeeze_dim(2))
            .sum()
            .div_scalar(batch_size as f64)
    }

    /// Returns the attention to each channel of the teacher; the attention of each sample sums to
    /// 1.
    ///
    /// # Shapes
    ///
    /// - teacher: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, channels]`
    pub fn attention(&self, teacher: Tensor<4>) -> Tensor<2> {
        let dtype = teacher.dtype();
        let pooled = teacher.mean_dims(&[2, 3]).flatten::<2>(1, 3);
        // The layers compute in the precision of their weights.
        let pooled = pooled.cast(self.squeeze.weight.val().dtype());
        let scores = self.excite.forward(relu(self.squeeze.forward(pooled)));
        // σ / Σσ, without a division by zero where every sigmoid underflows.
        softmax(log_sigmoid(scores), 1).cast(dtype)
    }
}

/// Returns each channel divided by its norm. Shape: `[batch_size, channels, height · width]`.
fn unit(map: Tensor<4>) -> Tensor<3> {
    const EPS: f64 = 1e-6;
    let channels = map.flatten::<3>(2, 3);
    let norm = l2_norm(channels.clone(), 2);
    let dead = norm.clone().equal_scalar(0.0).expand(channels.shape());
    // For a dead channel, `EPS` as the only divisor would give a gradient of 1e6.
    channels.div(norm.add_scalar(EPS)).mask_fill(dead, 0.0)
}

impl NamedLoss for ChannelAttentionLoss {
    fn name(&self) -> &'static str {
        "channel-attention"
    }
}

impl TapLoss for ChannelAttentionLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "channel-attention",
        abbreviation: "AFD",
        about: "matches features weighted by channel attention",
        kind: "feature",
        aliases: &["afd-wang"],
        reference: "Wang et al., Pay Attention to Features, Transfer Learn Faster CNNs, ICLR \
            2020",
    };
    LossEntry::new(catalog, 500.0, |mut builder| {
        let context = builder.context();
        let pairs = builder.pairs(DefaultTaps::Stages)?;
        let config = builder.configure(ChannelAttentionLossConfig::new())?;
        // The weight of the term applies to the mean over the pairs.
        let weight = 1.0 / pairs.len() as f64;
        builder.pairs_of_channels(pairs, |student, teacher, [inputs, outputs]| {
            let loss = config.init(outputs, &context.device);
            let adapter = ChannelAdapterConfig::new(inputs, outputs).init(&context.device);
            let pair = TapPair::new(student, teacher, loss).with_adapter(adapter);
            pair.with_weight(weight)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;

    #[test]
    fn the_attention_survives_sigmoids_that_underflow() {
        let device = Device::default().autodiff();
        let mut loss = ChannelAttentionLossConfig::new().init(3, &device);
        let bias = Tensor::from_data([-500.0, -500.0, -501.0], &device);
        loss.excite.bias = Some(Param::from_tensor(bias));

        let attention = loss.attention(Tensor::zeros([1, 3, 2, 2], &device));
        let grads = attention.clone().slice([0..1, 0..1]).sum().backward();

        // 1 / (2 + e⁻¹), twice
        let values: Vec<f32> = attention.into_data().try_to_vec().unwrap();
        assert!((values[0] - 0.42232).abs() < 1e-4, "{values:?}");
        assert!((values[2] - 0.15536).abs() < 1e-4, "{values:?}");
        let bias = loss.excite.bias.unwrap();
        let gradient: Vec<f32> = bias.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        // a (1 − a)
        assert!((gradient[0] - 0.24397).abs() < 1e-4, "{gradient:?}");
    }

    #[test]
    #[should_panic(expected = "`factor` should be from 0.001 to 16, but is 0")]
    fn the_factor_must_be_positive() {
        let config = ChannelAttentionLossConfig::new().with_factor(0.0);
        config.init(2, &Device::default());
    }
}
