use crate::DistributionLoss;
use crate::entry::distribution;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{kl_divergence_rows, log_mixture};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [generalized Jensen–Shannon loss](JensenShannonLoss) using the
/// [init function](JensenShannonLossConfig::init).
#[derive(Config, Debug)]
pub struct JensenShannonLossConfig {
    /// Weight of the teacher in the mixture. Between 0 and 1, both excluded; below 0.01 the loss is
    /// almost zero. Default: `0.5`.
    #[config(default = 0.5)]
    pub beta: f64,
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl JensenShannonLossConfig {
    /// Creates a [generalized Jensen–Shannon loss](JensenShannonLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, or if `beta` is not between 0 and 1.
    pub fn init(&self) -> JensenShannonLoss {
        self.assert_valid();
        JensenShannonLoss {
            beta: self.beta,
            temperature: self.temperature,
        }
    }
}

impl Check for JensenShannonLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::ensure(
            self.beta > 0.0 && self.beta < 1.0, // This also rejects NaN
            "beta",
            "above 0 and below 1 (use the soft-target loss instead of 0 and the reverse KL loss \
             instead of 1)",
            self.beta,
        )
    }
}

/// Generalized Jensen–Shannon divergence (JSD): compares teacher and student, each with a mixture
/// of the two.
///
/// For every row, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// m = beta p + (1 − beta) q
/// L = beta KL(p ‖ m) + (1 − beta) KL(q ‖ m)
/// ```
///
/// It is bounded by `−beta ln beta − (1 − beta) ln(1 − beta)`, so at most `ln 2`, whatever the
/// logits. At `beta → 0` it goes to zero, not to `KL(p ‖ q)`: only `L / beta` does. TRL and Liger
/// take the two divergences at exactly 0 and 1; here they are the
/// [soft-target](crate::SoftTargetLoss) and the [reverse KL](crate::ReverseKlLoss) loss. A class
/// that student and teacher both exclude contributes nothing. The teacher is a constant: no
/// gradient flows to it. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{DistributionLoss, JensenShannonLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1e4, 0.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 1e4]], &device); // certain of the opposite
///
/// let loss = JensenShannonLossConfig::new().init().forward(student, teacher, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 0.6931).abs() < 1e-4); // ln 2, the bound
/// ```
///
/// # Reference
///
/// R. Agarwal et al., [On-Policy Distillation of Language Models: Learning from Self-Generated
/// Mistakes](https://arxiv.org/abs/2306.13649) (GKD), ICLR 2024. Agrees with `generalized_jsd_loss`
/// of TRL; its mean is over rows, so tokens are rows here.
#[doc(alias = "JSD")]
#[doc(alias = "GKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct JensenShannonLoss {
    /// Weight of the teacher in the mixture.
    pub beta: f64,
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
}

one_line_display!(JensenShannonLoss: beta, temperature);

impl NamedLoss for JensenShannonLoss {
    fn name(&self) -> &'static str {
        "jensen-shannon"
    }
}

impl DistributionLoss for JensenShannonLoss {
    fn temperature(&self) -> f64 {
        self.temperature
    }

    fn scale(&self) -> f64 {
        1.0
    }

    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
        let log_m = log_mixture(log_p.clone(), log_q.clone(), self.beta);
        let of_teacher = kl_divergence_rows(log_p, log_m.clone()).mul_scalar(self.beta);
        let of_student = kl_divergence_rows(log_q, log_m).mul_scalar(1.0 - self.beta);
        of_teacher.add(of_student)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "jensen-shannon",
        abbreviation: "JSD",
        about: "matches a mixture of both distributions",
        kind: "response",
        aliases: &["jsd", "gkd"],
        reference: "Agarwal et al., On-Policy Distillation of Language Models, ICLR 2024",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        distribution(builder, JensenShannonLossConfig::new(), |config| {
            config.init()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(
        expected = "`beta` should be above 0 and below 1 (use the soft-target loss instead of 0"
    )]
    fn beta_must_be_between_0_and_1() {
        JensenShannonLossConfig::new().with_beta(1.0).init();
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", JensenShannonLossConfig::new().init()),
            "JensenShannonLoss {beta: 0.5, temperature: 1}"
        );
    }
}
