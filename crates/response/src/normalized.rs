use crate::LabeledLoss;
use crate::entry::labeled;
use crate::target::{at_target, is_target, without_target};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, cross_entropy_rows};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [normalized loss](NormalizedLoss) using the
/// [init function](NormalizedLossConfig::init).
#[derive(Config, Debug)]
pub struct NormalizedLossConfig {
    /// Softmax temperature of the classes other than the target. Must be positive and finite.
    /// Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Weight of the part of the other classes. Not negative. Default: `1.5`.
    #[config(default = 1.5)]
    pub gamma: f64,
}

impl NormalizedLossConfig {
    /// Creates a [normalized loss](NormalizedLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, or if `gamma` is negative or not finite.
    pub fn init(&self) -> NormalizedLoss {
        self.assert_valid();
        NormalizedLoss {
            temperature: self.temperature,
            gamma: self.gamma,
        }
    }
}

impl Check for NormalizedLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::weight("gamma", self.gamma)
    }
}

/// Normalized KD (NKD): cross-entropy of the target class, weighted by its probability under the
/// teacher, plus cross-entropy of the other classes, normalized to sum to one.
///
/// For every row of class `y`, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher),    p̂ = softmax over k ≠ y of teacher / T
/// q = softmax(student),    q̂ = softmax over k ≠ y of student / T
/// L = −p_y log q_y − gamma T² Σ_{k≠y} p̂ₖ log q̂ₖ
/// ```
///
/// The temperature softens the others only. Where the [decoupled loss](crate::DecoupledLoss)
/// compares the target with the rest, this one weights the cross-entropy with the label by the
/// probability that the teacher gives it. Both parts are cross-entropies: the loss of a perfect
/// student is not zero. With two classes the second part is zero. A class that student and teacher
/// both exclude by a logit of −∞ contributes nothing. The teacher is a constant: no gradient flows
/// to it. Half precision is widened to single.
///
/// # Weights
///
/// Added to the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective), which
/// has a weight of 1. The defaults are those of the authors for ImageNet; for CIFAR-100 their code
/// uses `T = 3` and `gamma = 3.5`.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{LabeledLoss, NormalizedLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0, 0.0]], &device);
/// let teacher = Tensor::<2>::from_data([[1e4, 0.0, 0.0]], &device); // certain of the first
/// let classes = Tensor::from_data([0], &device);
///
/// let criterion = NormalizedLossConfig::new().init();
/// let loss = criterion.forward(student, teacher, classes, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 2.1383).abs() < 1e-4); // ln 3 + 1.5 ln 2
/// ```
///
/// # Reference
///
/// Z. Yang et al., [From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach
/// with Normalized Loss and Customized Soft Labels](https://arxiv.org/abs/2303.13005) (NKD), ICCV
/// 2023. Agrees with `NKDLoss` of cls_KD, the code of the authors.
#[doc(alias = "NKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct NormalizedLoss {
    /// Softmax temperature of the classes other than the target.
    pub temperature: f64,
    /// Weight of the part of the other classes.
    pub gamma: f64,
}

one_line_display!(NormalizedLoss: temperature, gamma);

impl NamedLoss for NormalizedLoss {
    fn name(&self) -> &'static str {
        "normalized"
    }
}

impl LabeledLoss for NormalizedLoss {
    fn forward_rows(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Tensor<1> {
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);
        assert_shape!(classes, [rows]);

        let teacher = at_least_f32(teacher.without_autodiff());
        let student = at_least_f32(student);
        let is_target = is_target(&classes, num_classes);

        let target = |logits| at_target(log_softmax(logits, 1), &classes);
        let others = |logits: Tensor<2>| {
            let logits = logits.div_scalar(self.temperature);
            log_softmax(without_target(logits, is_target.clone()), 1)
        };

        let of_target = cross_entropy_rows(target(teacher.clone()).exp(), target(student.clone()));
        let of_others = cross_entropy_rows(others(teacher).exp(), others(student));
        of_target.add(of_others.mul_scalar(self.gamma * self.temperature.powi(2)))
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "normalized",
        abbreviation: "NKD",
        about: "normalizes the non-target probabilities",
        kind: "response",
        aliases: &["nkd"],
        reference: "Yang et al., From Knowledge Distillation to Self-Knowledge Distillation: \
            A Unified Approach with Normalized Loss and Customized Soft Labels, ICCV \
            2023",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        labeled(builder, NormalizedLossConfig::new(), |config| config.init())
    })
    .for_labels()
}

#[cfg(test)]
mod tests {
    use super::*;

    use burn::tensor::Device;

    fn criterion(temperature: f64, gamma: f64) -> NormalizedLoss {
        NormalizedLossConfig::new()
            .with_temperature(temperature)
            .with_gamma(gamma)
            .init()
    }

    #[test]
    #[should_panic(expected = "assert_shape!(classes, [rows]): axis 0 expected 4, got 1")]
    fn numbers_of_labels_must_match() {
        let device = Device::default();
        let classes = Tensor::from_data([0], &device);
        criterion(1.0, 1.5).forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 5], &device),
            classes,
        );
    }

    #[test]
    #[should_panic(expected = "`gamma` should be from 0 to 1e9")]
    fn gamma_must_be_a_number() {
        criterion(1.0, f64::NAN);
    }

    #[test]
    fn config_survives_json() {
        let config = NormalizedLossConfig::new().with_gamma(3.5);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"temperature":1.0,"gamma":3.5}"#);

        let config = NormalizedLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.gamma, 3.5);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", criterion(1.0, 1.5)),
            "NormalizedLoss {temperature: 1, gamma: 1.5}"
        );
    }
}
