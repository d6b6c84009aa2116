use crate::LabeledLoss;
use crate::columns::concat_columns;
use crate::entry::labeled;
use crate::target::{at_target, is_target, log_sum_exp, without_target};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, kl_divergence_rows};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [decoupled loss](DecoupledLoss) using the
/// [init function](DecoupledLossConfig::init).
#[derive(Config, Debug)]
pub struct DecoupledLossConfig {
    /// Weight of the part of the target class (TCKD). Not negative. Default: `1.0`.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight of the part of the other classes (NCKD). Not negative. Default: `8.0`.
    #[config(default = 8.0)]
    pub beta: f64,
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `4.0`.
    #[config(default = 4.0)]
    pub temperature: f64,
}

impl DecoupledLossConfig {
    /// Creates a [decoupled loss](DecoupledLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, or if `alpha` or `beta` is negative or
    /// not finite.
    pub fn init(&self) -> DecoupledLoss {
        self.assert_valid();
        DecoupledLoss {
            alpha: self.alpha,
            beta: self.beta,
            temperature: self.temperature,
        }
    }
}

impl Check for DecoupledLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::weight("alpha", self.alpha)?;
        check::weight("beta", self.beta)
    }
}

/// Decoupled KD (DKD): the soft-target loss in two parts with separate weights, one for the target
/// class and one for the other classes, so that the second counts even if the teacher is certain of
/// the target.
///
/// For every row of class `y`, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher / T),    p̂ = softmax over k ≠ y of teacher / T
/// q = softmax(student / T),    q̂ = softmax over k ≠ y of student / T
/// target = T² KL((p_y, 1 − p_y) ‖ (q_y, 1 − q_y))
/// others = T² KL(p̂ ‖ q̂)
/// L = alpha · target + beta · others
/// ```
///
/// The [soft-target loss](crate::SoftTargetLoss) of a row is `target + (1 − p_y) · others`: the
/// knowledge about the other classes fades as the teacher becomes certain of the target. With two
/// classes `others` is zero. A class that student and teacher both exclude by a logit of −∞
/// contributes nothing. The teacher is a constant: no gradient flows to it. Half precision is
/// widened to single.
///
/// # Weights
///
/// Usually added to the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective),
/// both with a weight of 1 after a warm-up of this loss: on CIFAR-100 mdistiller multiplies the
/// loss by `min(epoch / 20, 1)`, where the epoch counts from 1. In a recipe, write
///
/// ```text
/// weight = { kind = "linear", from = 0, to = 1, epochs = 20 }
/// ```
///
/// `alpha = 1` and `T = 4` there; `beta` is 8, the default, for most pairs, 6 for VGG-13 to VGG-8
/// or MobileNet-V2 and WRN-40-2 to WRN-16-2 or WRN-40-1, and 2 for ResNet-56 to ResNet-20 and
/// ResNet-110 to ResNet-32. On ImageNet `T = 1`, one epoch of warm-up, and `beta` is 0.5 for
/// ResNet-34 to ResNet-18, 2 for ResNet-50 to MobileNet-V1.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{DecoupledLossConfig, LabeledLoss};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0, 0.0]], &device);
/// let teacher = Tensor::<2>::from_data([[1e4, 1e3, 0.0]], &device); // certain of the first
/// let classes = Tensor::from_data([0], &device);
///
/// let criterion = DecoupledLossConfig::new().with_temperature(1.0).init();
/// let loss = criterion.forward(student, teacher, classes, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 6.6438).abs() < 1e-4); // ln 3 + 8 ln 2
/// ```
///
/// # Reference
///
/// B. Zhao et al., [Decoupled Knowledge Distillation](https://arxiv.org/abs/2203.08679) (DKD), CVPR
/// 2022. Agrees with `dkd_loss` of mdistiller, the code of the authors, except for logits at which
/// that code overflows.
#[doc(alias = "DKD")]
#[doc(alias = "TCKD")]
#[doc(alias = "NCKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct DecoupledLoss {
    /// Weight of the part of the target class (TCKD).
    pub alpha: f64,
    /// Weight of the part of the other classes (NCKD).
    pub beta: f64,
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
}

/// The two parts of a [decoupled loss](DecoupledLoss), multiplied by the square of the temperature
/// but not yet by `alpha` and `beta`.
#[derive(Clone, Debug)]
pub struct DecoupledParts {
    /// Target class against all others (TCKD). Shape: `[rows]`.
    pub target: Tensor<1>,
    /// Classes other than the target, among themselves (NCKD). Shape: `[rows]`.
    pub others: Tensor<1>,
}

one_line_display!(DecoupledLoss: alpha, beta, temperature);

impl DecoupledLoss {
    /// Computes the two parts of every row.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[rows, num_classes]`
    /// - classes: `[rows]`, each below `num_classes`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_parts(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> DecoupledParts {
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);
        assert_shape!(classes, [rows]);

        let teacher = at_least_f32(teacher.without_autodiff()).div_scalar(self.temperature);
        let student = at_least_f32(student).div_scalar(self.temperature);
        let is_target = is_target(&classes, num_classes);

        // The probability of the others is computed from their logarithms: 1 − q_y is zero long
        // before they are.
        let target_and_others = |logits: Tensor<2>| {
            let log = log_softmax(logits, 1);
            let others = log_sum_exp(without_target(log.clone(), is_target.clone()));
            concat_columns(at_target(log, &classes), others)
        };
        let others = |logits| log_softmax(without_target(logits, is_target.clone()), 1);

        let scale = self.temperature.powi(2);
        DecoupledParts {
            target: kl_divergence_rows(
                target_and_others(teacher.clone()),
                target_and_others(student.clone()),
            )
            .mul_scalar(scale),
            others: kl_divergence_rows(others(teacher), others(student)).mul_scalar(scale),
        }
    }
}

impl NamedLoss for DecoupledLoss {
    fn name(&self) -> &'static str {
        "decoupled"
    }
}

impl LabeledLoss for DecoupledLoss {
    fn forward_rows(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Tensor<1> {
        let parts = self.forward_parts(student, teacher, classes);
        let target = parts.target.mul_scalar(self.alpha);
        target.add(parts.others.mul_scalar(self.beta))
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "decoupled",
        abbreviation: "DKD",
        about: "weights target and non-target classes separately",
        kind: "response",
        aliases: &["dkd"],
        reference: "Zhao et al., Decoupled Knowledge Distillation, CVPR 2022",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        labeled(builder, DecoupledLossConfig::new(), |config| config.init())
    })
    .for_labels()
}

#[cfg(test)]
mod tests {
    use super::*;

    use burn::tensor::Device;

    fn criterion(alpha: f64, beta: f64) -> DecoupledLoss {
        DecoupledLossConfig::new()
            .with_alpha(alpha)
            .with_beta(beta)
            .init()
    }

    #[test]
    #[should_panic(expected = "assert_shape!(classes, [rows]): axis 0 expected 4, got 3")]
    fn numbers_of_labels_must_match() {
        let device = Device::default();
        criterion(1.0, 8.0).forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 5], &device),
            Tensor::from_data([0, 1, 2], &device),
        );
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 1 expected 5")]
    fn numbers_of_classes_must_match() {
        let device = Device::default();
        criterion(1.0, 8.0).forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 3], &device),
            Tensor::zeros([4], &device),
        );
    }

    #[test]
    #[should_panic(expected = "`beta` should be from 0 to 1e9, but is -1")]
    fn beta_must_not_be_negative() {
        criterion(1.0, -1.0);
    }

    #[test]
    fn config_survives_json() {
        let config = DecoupledLossConfig::new().with_beta(2.0);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"alpha":1.0,"beta":2.0,"temperature":4.0}"#);

        let config = DecoupledLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.beta, 2.0);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", criterion(1.0, 8.0)),
            "DecoupledLoss {alpha: 1, beta: 8, temperature: 4}"
        );
    }
}
