use crate::LabeledLoss;
use crate::entry::labeled;
use crate::target::at_target;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{cross_entropy_rows, tempered_log_softmax};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [weighted-soft-labels loss](WeightedSoftLabelsLoss) using the [init
/// function](WeightedSoftLabelsLossConfig::init).
#[derive(Config, Debug)]
pub struct WeightedSoftLabelsLossConfig {
    /// Softmax temperature of the soft labels, which divides the logits of student and teacher. The
    /// weights of the samples are those at a temperature of 1. Must be positive and finite. Default:
    /// `2.0`.
    #[config(default = 2.0)]
    pub temperature: f64,
}

impl WeightedSoftLabelsLossConfig {
    /// Creates a [weighted-soft-labels loss](WeightedSoftLabelsLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite.
    pub fn init(&self) -> WeightedSoftLabelsLoss {
        self.assert_valid();
        WeightedSoftLabelsLoss {
            temperature: self.temperature,
        }
    }
}

impl Check for WeightedSoftLabelsLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Weighted soft labels (WSL): soft cross-entropy in which a sample counts less, the better the
/// student predicts its label in comparison with the teacher.
///
/// For every row of class `y`, with `T` the `temperature`,
///
/// ```text
/// CE_S = −log softmax(student)_y,    CE_T = −log softmax(teacher)_y
/// w = 1 − exp(−CE_S / (CE_T + 1e-7))                                    a constant
/// p = softmax(teacher / T),    q = softmax(student / T)
/// L = −w T² Σₖ pₖ log qₖ
/// ```
///
/// The weight is near 1 for a sample of which the teacher is more certain than the student, and near
/// 0 for one that the student has learned already: there, the soft labels act as a regularization
/// that may hurt. The loss is a cross-entropy: that of a perfect student is not zero. A class that
/// student and teacher both exclude by a logit of −∞ contributes nothing. The teacher and the weight
/// are constants: no gradient flows through them. Half precision is widened to single.
///
/// # Weights
///
/// Added to the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective), which has
/// a weight of 1, with a weight of 2.5, both as in the authors' code for ImageNet.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{LabeledLoss, WeightedSoftLabelsLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 0.0]], &device);
/// let classes = Tensor::from_data([0], &device);
///
/// let criterion = WeightedSoftLabelsLossConfig::new().with_temperature(1.0).init();
/// let loss = criterion.forward(student, teacher, classes, Reduction::Mean);
///
/// // Both are as certain of the label: w = 1 − 1/e.
/// assert!((loss.into_scalar::<f32>() - 0.438153).abs() < 1e-5); // w ln 2
/// ```
///
/// # Reference
///
/// H. Zhou, L. Song, J. Chen, Y. Zhou, G. Wang, J. Yuan and Q. Zhang, [Rethinking Soft Labels for
/// Knowledge Distillation: A Bias-Variance Tradeoff Perspective](https://arxiv.org/abs/2102.00650)
/// (WSLD), ICLR 2021. Agrees with the soft part of `WSLDistiller` of the authors' code.
#[doc(alias = "WSL")]
#[doc(alias = "WSLD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct WeightedSoftLabelsLoss {
    /// Softmax temperature of the soft labels.
    pub temperature: f64,
}

one_line_display!(WeightedSoftLabelsLoss: temperature);

/// Added to the cross-entropy of the teacher, as in the authors' code.
const EPSILON: f64 = 1e-7;

/// Larger cross-entropies count as this one, since the ratio of two infinite ones is NaN.
const LARGEST: f64 = 1e20;

impl WeightedSoftLabelsLoss {
    /// Computes the weight of every row, from 0 to 1, as a constant.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[rows, num_classes]`
    /// - classes: `[rows]`, each below `num_classes`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn weights(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Tensor<1> {
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);
        assert_shape!(classes, [rows]);
        let cross_entropy = |logits: Tensor<2>| {
            let log = tempered_log_softmax(logits.without_autodiff(), 1.0);
            let rows: Tensor<1> = at_target(log, &classes).squeeze_dim(1);
            rows.neg().clamp(0.0, LARGEST)
        };
        let teacher = cross_entropy(teacher).add_scalar(EPSILON);
        let ratio = cross_entropy(student).div(teacher);
        let weights = ratio.neg().exp().neg().add_scalar(1.0);
        // Indices on autodiff make a result on autodiff, too.
        weights.without_autodiff()
    }
}

impl NamedLoss for WeightedSoftLabelsLoss {
    fn name(&self) -> &'static str {
        "weighted-soft-labels"
    }
}

impl LabeledLoss for WeightedSoftLabelsLoss {
    fn forward_rows(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Tensor<1> {
        let weights = self.weights(student.clone(), teacher.clone(), classes);
        let targets = tempered_log_softmax(teacher.without_autodiff(), self.temperature).exp();
        let log_predictions = tempered_log_softmax(student, self.temperature);
        let targets = targets.cast(log_predictions.dtype());
        let soft = cross_entropy_rows(targets, log_predictions);
        let weights = weights.cast(soft.dtype());
        soft.mul(weights).mul_scalar(self.temperature.powi(2))
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "weighted-soft-labels",
        abbreviation: "WSL",
        about: "weights samples by how well the student predicts the label",
        kind: "response",
        aliases: &["wsl", "wsld"],
        reference: "Zhou et al., Rethinking Soft Labels for Knowledge Distillation: A Bias-Variance \
            Tradeoff Perspective, ICLR 2021",
    };
    LossEntry::new(catalog, 2.5, |builder| {
        labeled(builder, WeightedSoftLabelsLossConfig::new(), |config| {
            config.init()
        })
    })
    .for_labels()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn criterion(temperature: f64) -> WeightedSoftLabelsLoss {
        WeightedSoftLabelsLossConfig::new()
            .with_temperature(temperature)
            .init()
    }

    #[test]
    #[should_panic(expected = "assert_shape!(classes, [rows]): axis 0 expected 4, got 1")]
    fn numbers_of_labels_must_match() {
        let device = Device::default();
        let classes = Tensor::from_data([0], &device);
        criterion(2.0).forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 5], &device),
            classes,
        );
    }

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is 0")]
    fn temperature_must_be_positive() {
        criterion(0.0);
    }

    #[test]
    fn display() {
        let shown = "WeightedSoftLabelsLoss {temperature: 2}";
        assert_eq!(criterion(2.0).to_string(), shown);
    }
}
