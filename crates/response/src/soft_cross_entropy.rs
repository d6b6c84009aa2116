use crate::DistributionLoss;
use crate::entry::distribution;
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{
    at_least_f32, cross_entropy_rows, log_mixture, tempered_log_softmax,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
    reduce_rows,
};

/// Configuration to create a [soft cross-entropy loss](SoftCrossEntropyLoss) using the
/// [init function](SoftCrossEntropyLossConfig::init).
#[derive(Config, Debug)]
pub struct SoftCrossEntropyLossConfig {
    /// Softmax temperature, which divides logits; given probabilities are not changed. Must be
    /// positive and finite. Default: `4.0`.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// Whether to multiply by the square of the temperature, which keeps the size of the gradient
    /// about the same at any temperature. Default: `true`.
    #[config(default = true)]
    pub scale_t2: bool,
    /// Whether to divide given probabilities by the sum of their row. Default: `false`.
    #[config(default = false)]
    pub renormalize: bool,
    /// Probability that is added to the predictions, in equal shares to all classes, before they
    /// are normalized again. From 0 to 1. Default: `0.0`.
    #[config(default = 0.0)]
    pub epsilon: f64,
}

impl SoftCrossEntropyLossConfig {
    /// Creates a [soft cross-entropy loss](SoftCrossEntropyLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, or if `epsilon` is not from 0 to 1.
    pub fn init(&self) -> SoftCrossEntropyLoss {
        self.assert_valid();
        SoftCrossEntropyLoss {
            temperature: self.temperature,
            scale_t2: self.scale_t2,
            renormalize: self.renormalize,
            epsilon: self.epsilon,
        }
    }
}

impl Check for SoftCrossEntropyLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::in_range("epsilon", self.epsilon, 0.0..=1.0)
    }
}

/// Soft cross-entropy: the cross-entropy of the student with the softened probabilities of the
/// teacher, or with given probabilities.
///
/// For every row, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher / T)             forward
/// p = probabilities                    forward_probabilities
/// q = softmax(student / T)
/// L = −T² Σₖ pₖ log qₖ                 without T² unless scale_t2
/// ```
///
/// With an `epsilon`, `(q + epsilon / K) / (1 + epsilon)` stands for `q`, where `K` is the number of
/// classes, or of the events of [sparse logits](crate::SparseLogits). It bounds the loss of a class
/// that the student excludes.
///
/// From the logits of a teacher, the gradient is that of a
/// [`SoftTargetLoss`](crate::SoftTargetLoss), except at the high temperatures at which that loss is
/// replaced by its limit; the value is larger by `T²` times the entropy of the teacher, and is not
/// zero for a perfect student.
///
/// Probabilities that do not sum to one, such as the largest few of a row, weight the row by their
/// sum, unless `renormalize` divides by it. A row of zeros contributes nothing either way. A class
/// that student and teacher both exclude by a logit of −∞ contributes nothing. The target is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{DistributionLoss, SoftCrossEntropyLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device); // undecided
/// let probabilities = Tensor::<2>::from_data([[0.3, 0.7]], &device);
///
/// let criterion = SoftCrossEntropyLossConfig::new().with_temperature(1.0).init();
/// let loss = criterion.forward_probabilities(student, probabilities, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 0.6931).abs() < 1e-4); // ln 2
/// ```
///
/// # Reference
///
/// G. Hinton, O. Vinyals and J. Dean, [Distilling the Knowledge in a Neural
/// Network](https://arxiv.org/abs/1503.02531), NIPS Deep Learning Workshop 2014. Agrees with
/// `KDSoftCELoss` of MMRazor and, without `scale_t2`, with `kd_ce_loss` of TextBrewer, and with an
/// `epsilon` of 1e-5, with `cross_entropy` of learning without forgetting in FACIL.
#[doc(alias = "SoftCE")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SoftCrossEntropyLoss {
    /// Softmax temperature, which divides logits.
    pub temperature: f64,
    /// Whether to multiply by the square of the temperature.
    pub scale_t2: bool,
    /// Whether to divide given probabilities by the sum of their row.
    pub renormalize: bool,
    /// Probability that is added to the predictions, in equal shares to all classes.
    pub epsilon: f64,
}

one_line_display!(SoftCrossEntropyLoss: temperature, scale_t2, renormalize, epsilon);

impl NamedLoss for SoftCrossEntropyLoss {
    fn name(&self) -> &'static str {
        "soft-cross-entropy"
    }
}

impl DistributionLoss for SoftCrossEntropyLoss {
    fn temperature(&self) -> f64 {
        self.temperature
    }

    fn scale(&self) -> f64 {
        match self.scale_t2 {
            true => self.temperature.powi(2),
            false => 1.0,
        }
    }

    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
        cross_entropy_rows(log_p.exp(), self.with_epsilon(log_q))
    }
}

impl SoftCrossEntropyLoss {
    /// Returns the logarithm of the predictions with `epsilon`. Shape: `[rows, num_classes]`.
    fn with_epsilon(&self, log_q: Tensor<2>) -> Tensor<2> {
        let [_, num_classes] = log_q.dims();
        if self.epsilon == 0.0 || num_classes == 0 {
            return log_q;
        }
        let uniform = log_q.full_like(-(num_classes as f64).ln());
        log_mixture(log_q, uniform, (1.0 + self.epsilon).recip())
    }

    /// Computes the loss of every row from probabilities and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student: logits `[batch_size, num_classes]`
    /// - probabilities: `[batch_size, num_classes]`, not negative
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_probabilities(
        &self,
        student: Tensor<2>,
        probabilities: Tensor<2>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let loss = self.forward_probabilities_no_reduction(student, probabilities);
        reduce_rows(loss, None, &reduction)
    }

    /// Computes the loss of every row from probabilities, without reducing.
    ///
    /// # Shapes
    ///
    /// - student: logits `[batch_size, num_classes]`
    /// - probabilities: `[batch_size, num_classes]`, not negative
    /// - output: `[batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_probabilities_no_reduction(
        &self,
        student: Tensor<2>,
        probabilities: Tensor<2>,
    ) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(probabilities, [batch_size, num_classes]);

        let p = at_least_f32(probabilities.without_autodiff());
        let p = match self.renormalize {
            true => {
                let sum = p.clone().sum_dim(1);
                let zero = sum.clone().equal_scalar(0.0);
                p.div(sum.mask_fill(zero, 1.0))
            }
            false => p,
        };

        let log_q = tempered_log_softmax(student, self.temperature);
        cross_entropy_rows(p, self.with_epsilon(log_q)).mul_scalar(self.scale())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "soft-cross-entropy",
        abbreviation: "",
        about: "cross-entropy with softened probabilities",
        kind: "response",
        aliases: &["soft-ce"],
        reference: "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
            NIPS Deep Learning Workshop 2014",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        distribution(builder, SoftCrossEntropyLossConfig::new(), |config| {
            config.init()
        })
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
        SoftCrossEntropyLossConfig::new()
            .init()
            .forward_no_reduction(
                Tensor::zeros([4, 5], &device),
                Tensor::zeros([3, 5], &device),
            );
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 1 expected 5"
    )]
    fn numbers_of_classes_must_match() {
        let device = Device::default();
        SoftCrossEntropyLossConfig::new()
            .init()
            .forward_no_reduction(
                Tensor::zeros([4, 5], &device),
                Tensor::zeros([4, 6], &device),
            );
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(probabilities, [batch_size, num_classes]): axis 1 expected 5"
    )]
    fn probabilities_are_of_the_same_classes() {
        let device = Device::default();
        SoftCrossEntropyLossConfig::new()
            .init()
            .forward_probabilities_no_reduction(
                Tensor::zeros([4, 5], &device),
                Tensor::zeros([4, 6], &device),
            );
    }

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is -1")]
    fn temperature_must_be_positive() {
        SoftCrossEntropyLossConfig::new()
            .with_temperature(-1.0)
            .init();
    }

    #[test]
    fn config_survives_json() {
        let config = SoftCrossEntropyLossConfig::new()
            .with_scale_t2(false)
            .with_renormalize(true);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(
            json,
            r#"{"temperature":4.0,"scale_t2":false,"renormalize":true,"epsilon":0.0}"#
        );

        let config = SoftCrossEntropyLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.temperature, 4.0);
        assert!(!config.scale_t2);
        assert!(config.renormalize);
    }

    #[test]
    fn display() {
        let loss = SoftCrossEntropyLossConfig::new().init();

        assert_eq!(
            format!("{loss}"),
            "SoftCrossEntropyLoss {temperature: 4, scale_t2: true, renormalize: false, epsilon: 0}"
        );
    }
}
