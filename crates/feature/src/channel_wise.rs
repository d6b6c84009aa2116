use crate::entry::{Adapted, adapted};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, kl_divergence_rows, match_size, tempered_log_softmax,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError, NamedLoss, Tap,
    TapLoss, check, check_positions, check_same, one_line_display,
};

/// Configuration to create a [channel-wise loss](ChannelWiseLoss) using the
/// [init function](ChannelWiseLossConfig::init).
#[derive(Config, Debug)]
pub struct ChannelWiseLossConfig {
    /// Softmax temperature, which divides the values of both maps. Must be positive and finite.
    /// Default: `4.0`, as in the command of the authors for logits.
    #[config(default = 4.0)]
    pub temperature: f64,
}

impl ChannelWiseLossConfig {
    /// Creates a [channel-wise loss](ChannelWiseLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite.
    pub fn init(&self) -> ChannelWiseLoss {
        self.assert_valid();
        ChannelWiseLoss {
            temperature: self.temperature,
        }
    }
}

impl Check for ChannelWiseLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Channel-wise distillation (CWD): matches where each channel of a map is active, as a
/// distribution over the positions.
///
/// For every sample and channel, with `T` the `temperature` and the softmax over all positions,
///
/// ```text
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// L = T² · mean over samples and channels of Σ over positions p (log p − log q)
/// ```
///
/// The map may be one of features or of class logits. An offset of a whole channel does not matter.
/// The larger map is pooled to the size of the smaller. If the numbers of channels differ, the
/// student needs a [`FeatureAdapter`](burn_distill_architecture::FeatureAdapter). The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// For the logits of a segmentation network, the authors' command sets a weight of 3 and a
/// temperature of 4, beside the cross-entropy with the labels.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::ChannelWiseLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[0.0, 0.0]]]], &device); // active everywhere
/// let teacher = Tensor::<4>::from_data([[[[0.0, 1e4]]]], &device); // active on the right
///
/// let criterion = ChannelWiseLossConfig::new().with_temperature(2.0).init();
/// let loss = criterion.forward(student, teacher);
///
/// assert!((loss.into_scalar::<f32>() - 2.7726).abs() < 1e-4); // 2² ln 2
/// ```
///
/// # Reference
///
/// C. Shu, Y. Liu, J. Gao, Z. Yan and C. Shen, [Channel-wise Knowledge Distillation for Dense
/// Prediction](https://arxiv.org/abs/2011.13256), ICCV 2021. Agrees with `CriterionCWD` of the
/// authors' TorchDistiller, for the norm `channel` and the divergence `kl`, and with
/// `ChannelWiseDivergence` of MMRazor.
#[doc(alias = "CWD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ChannelWiseLoss {
    /// Softmax temperature, which divides the values of both maps.
    pub temperature: f64,
}

one_line_display!(ChannelWiseLoss: temperature);

impl ChannelWiseLoss {
    /// Computes the loss of a batch of maps, the student's after its adapter.
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
        // One row for each channel of each sample.
        let log_distribution = |map: Tensor<4>| {
            let rows = map.flatten::<3>(2, 3).flatten::<2>(0, 1);
            tempered_log_softmax(rows, self.temperature)
        };
        kl_divergence_rows(log_distribution(teacher), log_distribution(student))
            .mean()
            .mul_scalar(self.temperature.powi(2))
    }
}

impl NamedLoss for ChannelWiseLoss {
    fn name(&self) -> &'static str {
        "channel-wise"
    }
}

impl TapLoss for ChannelWiseLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }

    fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
        check_same("channels", student.channels()?, teacher.channels()?)?;
        check_positions(student, teacher)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "channel-wise",
        abbreviation: "CWD",
        about: "matches where each channel is active",
        kind: "feature",
        aliases: &["cwd"],
        reference: "Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021",
    };
    LossEntry::new(catalog, 3.0, |builder| {
        let defaults = Adapted {
            taps: DefaultTaps::LastStage,
            check: check_positions,
            adapter: |student, teacher| {
                FeatureAdapterConfig::new(match student.shape() == teacher.shape() {
                    true => AdapterKind::None,
                    false => AdapterKind::Conv1x1,
                })
            },
            weights: |pairs| vec![1.0; pairs],
            config: ChannelWiseLossConfig::new(),
        };
        adapted(builder, defaults, |config, _| config.init())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is -1")]
    fn temperature_must_be_positive() {
        ChannelWiseLossConfig::new().with_temperature(-1.0).init();
    }

    #[test]
    #[should_panic(expected = "axis 1 expected 3")]
    fn numbers_of_channels_must_match() {
        let device = Device::default();
        let criterion = ChannelWiseLossConfig::new().init();
        let student = Tensor::zeros([2, 3, 4, 4], &device);
        criterion.forward(student, Tensor::zeros([2, 5, 4, 4], &device));
    }

    #[test]
    fn a_map_of_one_position_is_refused() {
        let device = Device::default();
        let criterion = ChannelWiseLossConfig::new().init();
        let (one, map) = (
            Tap::Vector(Tensor::zeros([2, 3], &device)),
            Tap::Map(Tensor::zeros([2, 3, 4, 4], &device)),
        );

        let error = criterion.check_taps(&one, &map).unwrap_err().to_string();
        assert!(error.contains("a single position"), "{error}");
        assert!(criterion.check_taps(&map, &map).is_ok());
    }

    #[test]
    fn display() {
        let loss = ChannelWiseLossConfig::new().init();

        assert_eq!(format!("{loss}"), "ChannelWiseLoss {temperature: 4}");
    }
}
