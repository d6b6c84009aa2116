use crate::entry::distribution;
use crate::{DistributionLoss, LogitMatchingLossConfig, LogitMatchingVariant, TeacherLogits};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::numeric::kl_divergence_rows;
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Temperature above which the loss is computed as its limit.
const LIMIT: f64 = 50.0;

/// Configuration to create a [soft-target loss](SoftTargetLoss) using the
/// [init function](SoftTargetLossConfig::init).
#[derive(Config, Debug)]
pub struct SoftTargetLossConfig {
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `4.0`.
    #[config(default = 4.0)]
    pub temperature: f64,
}

impl SoftTargetLossConfig {
    /// Creates a [soft-target loss](SoftTargetLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite.
    pub fn init(&self) -> SoftTargetLoss {
        self.assert_valid();
        SoftTargetLoss {
            temperature: self.temperature,
        }
    }
}

impl Check for SoftTargetLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Knowledge distillation (KD), the soft-target loss: the divergence between the softened class
/// probabilities of teacher and student.
///
/// For every row, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// L = T² Σₖ pₖ (log pₖ − log qₖ)
/// ```
///
/// `T²` keeps the size of the gradient, `T (q − p)`, about the same at any temperature. A class
/// that student and teacher both exclude by a logit of −∞ contributes nothing. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// # High temperatures
///
/// At a high temperature the divergence is a small difference of large numbers: in single
/// precision, `L` is off by 0.7 % at `T = 1000` and by 57 % at `T = 10 000`. Above `T = 50` the
/// loss is therefore its limit,
///
/// ```text
/// L = ½ mean((d − mean(d))²),    d = student − teacher
/// ```
///
/// half of the centered [`LogitMatchingLoss`](crate::LogitMatchingLoss). The two differ by the
/// order of `max |logit| / T`: by 0.15 % at `T = 50` for logits within ±3, by 3 % for logits within
/// ±30. The limit ignores a class that only the teacher excludes; the divergence does not.
///
/// # Weights
///
/// Usually added to the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective).
/// On CIFAR-100 RepDistiller and mdistiller use `T = 4` and weights of 0.1 for the cross-entropy
/// and 0.9 for this loss; on ImageNet mdistiller uses `T = 1` and weights of one half for each.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{DistributionLoss, SoftTargetLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device); // undecided
/// let teacher = Tensor::<2>::from_data([[1e4, 0.0]], &device); // certain
///
/// let criterion = SoftTargetLossConfig::new().with_temperature(2.0).init();
/// let loss = criterion.forward(student, teacher, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 2.7726).abs() < 1e-4); // 2² ln 2
/// ```
///
/// # Reference
///
/// G. Hinton, O. Vinyals and J. Dean, [Distilling the Knowledge in a Neural
/// Network](https://arxiv.org/abs/1503.02531), NIPS Deep Learning Workshop 2014. The paper writes
/// the [cross-entropy](crate::SoftCrossEntropyLoss), which has the same gradient. Agrees with
/// `DistillKL` of RepDistiller and `kd_loss` of mdistiller.
#[doc(alias = "KD")]
#[doc(alias = "Hinton")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SoftTargetLoss {
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
}

one_line_display!(SoftTargetLoss: temperature);

impl NamedLoss for SoftTargetLoss {
    fn name(&self) -> &'static str {
        "soft-target"
    }
}

impl DistributionLoss for SoftTargetLoss {
    fn temperature(&self) -> f64 {
        self.temperature
    }

    fn scale(&self) -> f64 {
        self.temperature.powi(2)
    }

    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
        kl_divergence_rows(log_p, log_q)
    }

    fn forward_no_reduction(
        &self,
        student: Tensor<2>,
        teacher: impl Into<TeacherLogits>,
    ) -> Tensor<1> {
        match teacher.into() {
            TeacherLogits::Dense(teacher) if self.temperature > LIMIT => {
                LogitMatchingLossConfig::new()
                    .with_variant(LogitMatchingVariant::Centered)
                    .init()
                    .forward_no_reduction(student, teacher)
                    .div_scalar(2.0)
            }
            teacher => {
                let pair = teacher.paired_log_probs(student, self.temperature);
                self.divergence(pair.log_p, pair.log_q)
                    .mul_scalar(self.scale())
            }
        }
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "soft-target",
        abbreviation: "KD",
        about: "matches the softened class probabilities",
        kind: "response",
        aliases: &["kd", "hinton"],
        reference: "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
            NIPS Deep Learning Workshop 2014",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        distribution(builder, SoftTargetLossConfig::new(), |config| config.init())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use burn::tensor::Device;

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 0 expected 4"
    )]
    fn batch_sizes_must_match() {
        let device = Device::default();
        let student = Tensor::zeros([4, 5], &device);
        let criterion = SoftTargetLossConfig::new().init();
        criterion.forward_no_reduction(student, Tensor::<2>::zeros([3, 5], &device));
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 1 expected 5"
    )]
    fn numbers_of_classes_must_match() {
        let device = Device::default();
        let student = Tensor::zeros([4, 5], &device);
        let criterion = SoftTargetLossConfig::new().init();
        criterion.forward_no_reduction(student, Tensor::<2>::zeros([4, 6], &device));
    }

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is 0")]
    fn temperature_must_be_positive() {
        SoftTargetLossConfig::new().with_temperature(0.0).init();
    }

    #[test]
    fn config_survives_json() {
        let config = SoftTargetLossConfig::new().with_temperature(2.5);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"temperature":2.5}"#);

        let config = SoftTargetLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.temperature, 2.5);
    }

    #[test]
    fn display() {
        let loss = SoftTargetLossConfig::new().with_temperature(2.5).init();

        assert_eq!(format!("{loss}"), "SoftTargetLoss {temperature: 2.5}");
    }
}
