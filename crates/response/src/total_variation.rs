use crate::DistributionLoss;
use crate::entry::distribution;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};
use serde::{Deserialize, Serialize};

/// Configuration to create a [total variation loss](TotalVariationLoss) using the
/// [init function](TotalVariationLossConfig::init).
#[derive(Config, Debug)]
pub struct TotalVariationLossConfig {
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Factor of the loss. Default: one.
    #[config(default = "TotalVariationScale::One")]
    pub scale: TotalVariationScale,
}

/// Factor of a [total variation loss](TotalVariationLoss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TotalVariationScale {
    /// One.
    #[default]
    One,
    /// The temperature. The gradient, which falls as `1 / temperature`, then keeps its size.
    Temperature,
    /// The square of the temperature, as in DistillKit. The gradient then grows with the
    /// temperature.
    TemperatureSquared,
}

impl TotalVariationLossConfig {
    /// Creates a [total variation loss](TotalVariationLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite.
    pub fn init(&self) -> TotalVariationLoss {
        self.assert_valid();
        TotalVariationLoss {
            temperature: self.temperature,
            scale: self.scale,
        }
    }
}

impl Check for TotalVariationLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Total variation distance (TVD): the amount of probability that would have to move to turn one
/// distribution into the other.
///
/// For every row, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// L = ½ Σₖ |pₖ − qₖ|
/// ```
///
/// It is between 0 and 1, and finite for any logits, since it has no logarithm. Its gradient
/// vanishes for a student that is certain, and is taken as zero where the two agree. The teacher is
/// a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{DistributionLoss, TotalVariationLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device); // undecided
/// let teacher = Tensor::<2>::from_data([[1e4, 0.0]], &device); // certain
///
/// let loss = TotalVariationLossConfig::new().init().forward(student, teacher, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 0.5).abs() < 1e-6);
/// ```
///
/// # Reference
///
/// Y. Wen et al., [f-Divergence Minimization for Sequence-Level Knowledge
/// Distillation](https://arxiv.org/abs/2307.15190), ACL 2023. Agrees with `dense_tvd` of DistillKit
/// divided by the number of tokens, except for its factor.
#[doc(alias = "TVD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct TotalVariationLoss {
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
    /// Factor of the loss.
    #[module(skip)]
    pub scale: TotalVariationScale,
}

one_line_display!(TotalVariationLoss: temperature, ?scale);

impl NamedLoss for TotalVariationLoss {
    fn name(&self) -> &'static str {
        "total-variation"
    }
}

impl DistributionLoss for TotalVariationLoss {
    fn temperature(&self) -> f64 {
        self.temperature
    }

    fn scale(&self) -> f64 {
        match self.scale {
            TotalVariationScale::One => 1.0,
            TotalVariationScale::Temperature => self.temperature,
            TotalVariationScale::TemperatureSquared => self.temperature.powi(2),
        }
    }

    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
        let difference = log_p.exp().sub(log_q.exp());
        difference
            .abs()
            .sum_dim(1)
            .squeeze_dim::<1>(1)
            .div_scalar(2.0)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "total-variation",
        abbreviation: "TVD",
        about: "minimizes the total variation distance",
        kind: "response",
        aliases: &["tvd"],
        reference: "Wen et al., f-Divergence Minimization for Sequence-Level Knowledge \
            Distillation, ACL 2023",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        distribution(builder, TotalVariationLossConfig::new(), |config| {
            config.init()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", TotalVariationLossConfig::new().init()),
            "TotalVariationLoss {temperature: 1, scale: One}"
        );
    }
}
