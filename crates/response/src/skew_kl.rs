use crate::DistributionLoss;
use crate::entry::distribution;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{kl_divergence_rows, log_mixture};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [skew KL loss](SkewKlLoss) using the
/// [init function](SkewKlLossConfig::init).
#[derive(Config, Debug)]
pub struct SkewKlLossConfig {
    /// Weight of the first distribution in the mixture that it is compared with. Between 0 and 1,
    /// both excluded. Default: `0.1`.
    #[config(default = 0.1)]
    pub alpha: f64,
    /// Whether the student, not the teacher, is the first distribution. Default: `false`.
    #[config(default = false)]
    pub reverse: bool,
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl SkewKlLossConfig {
    /// Creates a [skew KL loss](SkewKlLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, or if `alpha` is not between 0 and 1.
    pub fn init(&self) -> SkewKlLoss {
        self.assert_valid();
        SkewKlLoss {
            alpha: self.alpha,
            reverse: self.reverse,
            temperature: self.temperature,
        }
    }
}

impl Check for SkewKlLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::strictly_between("alpha", self.alpha, 0.0, 1.0)
    }
}

/// Skew KL divergence (SKL): the divergence of one distribution from a mixture of both, which
/// bounds the value and keeps the gradient small.
///
/// For every row, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// L = KL(p ‖ alpha p + (1 − alpha) q)
/// L = KL(q ‖ (1 − alpha) p + alpha q)          if reverse
/// ```
///
/// It is bounded by `−ln alpha`. A class that student and teacher both exclude contributes nothing.
/// The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{DistributionLoss, SkewKlLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1e4, 0.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 1e4]], &device); // certain of the opposite
///
/// let loss = SkewKlLossConfig::new().init().forward(student, teacher, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 2.3026).abs() < 1e-4); // −ln 0.1, the bound
/// ```
///
/// # Reference
///
/// J. Ko, S. Kim, T. Chen and S.-Y. Yun, [DistiLLM: Towards Streamlined Distillation for Large
/// Language Models](https://arxiv.org/abs/2402.03898), ICML 2024. The reverse form agrees with
/// `skewed_reverse_kl` of its code; `skewed_forward_kl` there leaves out the teacher's entropy, so
/// that its value differs by a constant and its gradient does not.
#[doc(alias = "SKL")]
#[doc(alias = "DistiLLM")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SkewKlLoss {
    /// Weight of the first distribution in the mixture.
    pub alpha: f64,
    /// Whether the student, not the teacher, is the first distribution.
    pub reverse: bool,
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
}

one_line_display!(SkewKlLoss: alpha, reverse, temperature);

impl NamedLoss for SkewKlLoss {
    fn name(&self) -> &'static str {
        "skew-kl"
    }
}

impl DistributionLoss for SkewKlLoss {
    fn temperature(&self) -> f64 {
        self.temperature
    }

    fn scale(&self) -> f64 {
        1.0
    }

    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
        let (first, second) = match self.reverse {
            true => (log_q, log_p),
            false => (log_p, log_q),
        };
        let mixture = log_mixture(first.clone(), second, self.alpha);
        kl_divergence_rows(first, mixture)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "skew-kl",
        abbreviation: "SKL",
        about: "matches probabilities mixed with the student's",
        kind: "response",
        aliases: &["skl", "distillm"],
        reference: "Ko et al., DistiLLM: Towards Streamlined Distillation for Large Language \
            Models, ICML 2024",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        distribution(builder, SkewKlLossConfig::new(), |config| config.init())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "`alpha` should be above 0 and below 1, but is 0")]
    fn alpha_must_leave_room_for_both() {
        SkewKlLossConfig::new().with_alpha(0.0).init();
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", SkewKlLossConfig::new().init()),
            "SkewKlLoss {alpha: 0.1, reverse: false, temperature: 1}"
        );
    }
}
