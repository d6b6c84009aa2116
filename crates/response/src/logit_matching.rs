use crate::LogitLoss;
use crate::entry::logits;
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
    reduce_rows,
};
use serde::{Deserialize, Serialize};

/// Configuration to create a [logit-matching loss](LogitMatchingLoss) using the
/// [init function](LogitMatchingLossConfig::init).
#[derive(Config, Debug)]
pub struct LogitMatchingLossConfig {
    /// Reduction of the differences of a row. Default: the mean of their squares.
    #[config(default = "LogitMatchingVariant::Mean")]
    pub variant: LogitMatchingVariant,
    /// Softmax temperature, which divides the logits of student and teacher. The loss is not
    /// multiplied by its square, so a higher temperature shrinks it. Must be positive and finite.
    /// Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl LogitMatchingLossConfig {
    /// Creates a [logit-matching loss](LogitMatchingLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite.
    pub fn init(&self) -> LogitMatchingLoss {
        self.assert_valid();
        LogitMatchingLoss {
            variant: self.variant,
            temperature: self.temperature,
        }
    }
}

impl Check for LogitMatchingLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Reduction of the differences of a row in a [logit-matching loss](LogitMatchingLoss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitMatchingVariant {
    /// Mean of the squares. The mean over rows is then the mean over all elements.
    #[default]
    Mean,
    /// Half the sum of the squares, as in the paper.
    HalfSum,
    /// Mean of the squares after the mean of the row is subtracted: a constant added to all logits
    /// does not change a softmax.
    Centered,
    /// Sum of the absolute differences: the distance `‖student − teacher‖₁`.
    AbsoluteSum,
}

/// Logit matching: the squared error between the logits of student and teacher, or their absolute
/// distance.
///
/// For every row of `K` classes, with `T` the `temperature`,
///
/// ```text
/// d = (student − teacher) / T
/// L = (1/K) Σₖ dₖ²                   Mean
/// L = ½ Σₖ dₖ²                       HalfSum
/// L = (1/K) Σₖ (dₖ − mean(d))²       Centered
/// L = Σₖ |dₖ|                        AbsoluteSum
/// ```
///
/// A class that the teacher excludes by a logit of −∞ does not count, neither in the sums nor in
/// `K`. The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// The gradient grows with the logits without bound, except that of `AbsoluteSum`, which is −1, 0 or 1
/// for each class, divided by `T`. Half of `Centered` is what a
/// [`SoftTargetLoss`](crate::SoftTargetLoss) tends to as its temperature grows.
///
/// The scripts of Knowledge-Distillation-Zoo add it with a weight of 0.1 to the cross-entropy with
/// the labels.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{LogitMatchingLossConfig, LogitMatchingVariant};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 2.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 5.0]], &device);
///
/// let config = LogitMatchingLossConfig::new();
/// let loss = config.init().forward(student.clone(), teacher.clone(), Reduction::Mean);
/// assert_eq!(loss.into_scalar::<f32>(), 5.0); // (1² + 3²) / 2
///
/// let config = config.with_variant(LogitMatchingVariant::Centered);
/// let loss = config.init().forward(student, teacher, Reduction::Mean);
/// assert_eq!(loss.into_scalar::<f32>(), 4.0); // (2² + 2²) / 2
/// ```
///
/// # Reference
///
/// J. Ba and R. Caruana, [Do Deep Nets Really Need to be Deep?](https://arxiv.org/abs/1312.6184),
/// NIPS 2014. `Mean` agrees with `Logits` of Knowledge-Distillation-Zoo, and with a temperature
/// with `kd_mse_loss` of TextBrewer.
#[doc(alias = "Logits")]
#[doc(alias = "BaCaruana")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LogitMatchingLoss {
    /// Reduction of the differences of a row.
    #[module(skip)]
    pub variant: LogitMatchingVariant,
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
}

one_line_display!(LogitMatchingLoss: ?variant, temperature);

impl LogitMatchingLoss {
    /// Computes the loss of every row and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        reduction: Reduction,
    ) -> Tensor<1> {
        reduce_rows(
            self.forward_no_reduction(student, teacher),
            None,
            &reduction,
        )
    }

    /// Computes the loss of every row, without reducing.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - output: `[batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_no_reduction(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);

        let student = at_least_f32(student);
        let teacher = at_least_f32(teacher.without_autodiff());

        // Before the subtraction: −∞ − (−∞) is NaN, and so would be every gradient of the row.
        let excluded = teacher.clone().equal_scalar(f64::NEG_INFINITY);
        let difference = student
            .mask_fill(excluded.clone(), 0.0)
            .sub(teacher.mask_fill(excluded.clone(), 0.0))
            .div_scalar(self.temperature);

        let dtype = difference.dtype();
        let classes = excluded.clone().bool_not().float().cast(dtype).sum_dim(1);
        let classes = classes.clamp_min(1.0); // A row without a class is zero, not NaN

        let loss = match self.variant {
            LogitMatchingVariant::Mean => difference.square().sum_dim(1).div(classes),
            LogitMatchingVariant::HalfSum => difference.square().sum_dim(1).div_scalar(2.0),
            LogitMatchingVariant::Centered => {
                let mean = difference.clone().sum_dim(1).div(classes.clone());
                let centered = difference.sub(mean).mask_fill(excluded, 0.0);
                centered.square().sum_dim(1).div(classes)
            }
            LogitMatchingVariant::AbsoluteSum => difference.abs().sum_dim(1),
        };
        loss.squeeze_dim(1)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "logit-matching",
        abbreviation: "",
        about: "matches the logits by squared error",
        kind: "response",
        aliases: &["logits", "ba-caruana"],
        reference: "Ba and Caruana, Do Deep Nets Really Need to be Deep?, NIPS 2014",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        logits(builder, LogitMatchingLossConfig::new(), |config| {
            config.init()
        })
    })
}

impl NamedLoss for LogitMatchingLoss {
    fn name(&self) -> &'static str {
        "logit-matching"
    }
}

impl LogitLoss for LogitMatchingLoss {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        self.forward_no_reduction(student, teacher)
    }
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
        LogitMatchingLossConfig::new().init().forward_no_reduction(
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
        LogitMatchingLossConfig::new().init().forward_no_reduction(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 1], &device),
        );
    }

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is NaN")]
    fn temperature_must_be_positive() {
        LogitMatchingLossConfig::new()
            .with_temperature(f64::NAN)
            .init();
    }

    #[test]
    fn config_survives_json() {
        let config = LogitMatchingLossConfig::new().with_variant(LogitMatchingVariant::HalfSum);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"variant":"half-sum","temperature":1.0}"#);

        let config = LogitMatchingLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.variant, LogitMatchingVariant::HalfSum);
        assert_eq!(config.temperature, 1.0);
    }

    #[test]
    fn display() {
        assert_eq!(
            LogitMatchingLossConfig::new()
                .with_variant(LogitMatchingVariant::Centered)
                .init()
                .to_string(),
            "LogitMatchingLoss {variant: Centered, temperature: 1}"
        );
    }
}
