use crate::LogitLoss;
use crate::entry::logits;
use crate::spread::Spread;
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::kl_divergence_rows;
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
    reduce_rows,
};

/// Configuration to create a [NormKD loss](NormKdLoss) using the
/// [init function](NormKdLossConfig::init).
#[derive(Config, Debug)]
pub struct NormKdLossConfig {
    /// Temperature per standard deviation of the logits. Must be positive and finite. Default:
    /// `1.5`, as in the third-party implementation.
    #[config(default = 1.5)]
    pub coefficient: f64,
    /// Lower bound on the standard deviation of the logits. Must be positive and finite. Default:
    /// `1e-3`.
    #[config(default = 1e-3)]
    pub floor: f64,
}

impl NormKdLossConfig {
    /// Creates a [NormKD loss](NormKdLoss).
    ///
    /// # Panics
    ///
    /// Panics if `coefficient` or `floor` is not positive and finite.
    pub fn init(&self) -> NormKdLoss {
        self.assert_valid();
        NormKdLoss {
            coefficient: self.coefficient,
            floor: self.floor,
        }
    }
}

impl Check for NormKdLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("coefficient", self.coefficient)?;
        check::positive("floor", self.floor)
    }
}

/// Normalized logits (NormKD): soft targets whose temperature is proportional to the standard
/// deviation of the logits of each row.
///
/// For every row,
///
/// ```text
/// std(z) = max(√(Σₖ (zₖ − mean(z))² / (num_classes − 1)), floor)
/// Tₛ = coefficient std(student)
/// Tₜ = coefficient std(teacher)
/// p = softmax(teacher / Tₜ)
/// q = softmax(student / Tₛ)
/// L = Tₜ² Σₖ pₖ (log pₖ − log qₖ)
/// ```
///
/// No temperature has to be tuned, and no sample is too sharp or too flat for a temperature that
/// all share. The gradient flows through `Tₛ`. A class excluded by a logit of −∞ stays excluded and
/// does not count in the deviation. The teacher is a constant: no gradient flows to it. Half
/// precision is widened to single.
///
/// As with [standardized](crate::Standardized) logits, the scale of the student's logits does not
/// matter; the scale of the teacher's logits determines the size of the loss.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::NormKdLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 2.0, 4.0]], &device);
/// let teacher = student.clone().mul_scalar(7.0); // the same shape
///
/// let loss = NormKdLossConfig::new().init().forward(student, teacher, Reduction::Mean);
///
/// assert!(loss.into_scalar::<f32>() < 1e-4);
/// ```
///
/// # Reference
///
/// Z. Chi, T. Zheng, H. Li, Z. Yang, B. Wu, B. Lin and D. Cai, [NormKD: Normalized Logits for
/// Knowledge Distillation](https://arxiv.org/abs/2308.00520), 2023. Agrees with the third-party
/// `NormKD` of BiLD, which has no floor; the code of the authors was not available.
#[doc(alias = "NormKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct NormKdLoss {
    /// Temperature per standard deviation of the logits.
    pub coefficient: f64,
    /// Lower bound on the standard deviation of the logits.
    pub floor: f64,
}

one_line_display!(NormKdLoss: coefficient, floor);

impl NormKdLoss {
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
        reduce_rows(self.forward_rows(student, teacher), None, &reduction)
    }
}

impl NamedLoss for NormKdLoss {
    fn name(&self) -> &'static str {
        "norm-kd"
    }
}

impl LogitLoss for NormKdLoss {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);
        let soften = |logits| {
            let spread = Spread::of(logits, false, self.floor);
            let temperature = spread.deviation.clone().mul_scalar(self.coefficient);
            // Centered logits have the same softmax.
            let logits = spread.in_units_of(temperature.clone());
            (log_softmax(logits, 1), temperature)
        };
        let (log_p, temperature) = soften(teacher.without_autodiff());
        let (log_q, _) = soften(student);
        let scale = temperature.square().squeeze_dim(1);
        kl_divergence_rows(log_p, log_q).mul(scale)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "norm-kd",
        abbreviation: "NormKD",
        about: "sets the temperature of each sample by its spread",
        kind: "response",
        aliases: &["normkd"],
        reference: "Chi et al., NormKD: Normalized Logits for Knowledge Distillation, 2023",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        logits(builder, NormKdLossConfig::new(), |config| config.init())
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
        let criterion = NormKdLossConfig::new().init();
        criterion.forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([3, 5], &device),
        );
    }

    #[test]
    #[should_panic(expected = "`coefficient` should be above 0, from 1e-6 to 1e9")]
    fn coefficient_must_be_positive() {
        NormKdLossConfig::new().with_coefficient(0.0).init();
    }

    #[test]
    fn config_survives_json() {
        let json = serde_json::to_string(&NormKdLossConfig::new()).unwrap();
        assert_eq!(json, r#"{"coefficient":1.5,"floor":0.001}"#);

        let config = NormKdLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.coefficient, 1.5);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", NormKdLossConfig::new().init()),
            "NormKdLoss {coefficient: 1.5, floor: 0.001}"
        );
    }
}
