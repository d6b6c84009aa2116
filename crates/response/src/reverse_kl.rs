use crate::DistributionLoss;
use crate::entry::distribution;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::numeric::kl_divergence_rows;
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [reverse KL loss](ReverseKlLoss) using the
/// [init function](ReverseKlLossConfig::init).
#[derive(Config, Debug)]
pub struct ReverseKlLossConfig {
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Whether to multiply by `temperature²`. Default: `false`.
    #[config(default = false)]
    pub scale_t2: bool,
    /// Lower bound on the log-probabilities of the teacher, such as `-50.0`. Default: none; the
    /// loss is then infinite where the teacher excludes a class and the student does not.
    pub floor: Option<f64>,
}

impl ReverseKlLossConfig {
    /// Creates a [reverse KL loss](ReverseKlLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, or if `floor` is not negative.
    pub fn init(&self) -> ReverseKlLoss {
        self.assert_valid();
        ReverseKlLoss {
            temperature: self.temperature,
            scale_t2: self.scale_t2,
            floor: self.floor,
        }
    }
}

impl Check for ReverseKlLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        match self.floor {
            Some(floor) => check::ensure(
                floor < 0.0 && (floor as f32).is_finite(), // This also rejects NaN
                "floor",
                "finite and below 0, as a log-probability is",
                floor,
            ),
            None => Ok(()),
        }
    }
}

/// Reverse KL divergence (RKL): penalizes classes that the student finds likelier than the teacher
/// does.
///
/// For every row, with `T` the `temperature`,
///
/// ```text
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// L = Σₖ qₖ (log qₖ − log pₖ)          times T² if scale_t2
/// ```
///
/// The forward divergence spreads the student over all classes that the teacher deems possible; the
/// reverse divergence concentrates it on the likeliest of them. Its gradient vanishes where the
/// student gives a class no probability, so it is often mixed with [soft
/// targets](crate::SoftTargetLoss). A class that student and teacher both exclude contributes
/// nothing; one that only the teacher excludes makes the loss infinite unless there is a `floor`.
/// The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Sparse teachers
///
/// With [`TailMode::Zero`](crate::TailMode::Zero) the teacher excludes every class that it does not
/// name. [Sampled](crate::SparseLogits::sampled) logits have this tail, and
/// [`TailMode::Auto`](crate::TailMode::Auto) is this tail at any temperature other than that of the
/// teacher. The loss of a student with finite logits is then infinite unless there is a `floor`,
/// such as −50. [`TailMode::Tail`](crate::TailMode::Tail) and
/// [`TailMode::Uniform`](crate::TailMode::Uniform) need none.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{DistributionLoss, ReverseKlLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1e4, 0.0]], &device); // certain
/// let teacher = Tensor::<2>::from_data([[0.0, 0.0]], &device); // undecided
///
/// let loss = ReverseKlLossConfig::new().init().forward(student, teacher, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 0.6931).abs() < 1e-4); // ln 2
/// ```
///
/// # References
///
/// Y. Gu et al., [MiniLLM: Knowledge Distillation of Large Language
/// Models](https://arxiv.org/abs/2306.08543), ICLR 2024; R. Agarwal et al., [On-Policy Distillation
/// of Language Models](https://arxiv.org/abs/2306.13649), ICLR 2024. Agrees with
/// `generalized_jsd_loss` of TRL at `beta=1`, which does not multiply by `T²`.
#[doc(alias = "RKL")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ReverseKlLoss {
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
    /// Whether the loss is multiplied by `temperature²`.
    pub scale_t2: bool,
    /// Lower bound on the log-probabilities of the teacher.
    pub floor: Option<f64>,
}

one_line_display!(ReverseKlLoss: temperature, scale_t2, floor);

impl NamedLoss for ReverseKlLoss {
    fn name(&self) -> &'static str {
        "reverse-kl"
    }
}

impl DistributionLoss for ReverseKlLoss {
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
        let log_p = match self.floor {
            Some(floor) => log_p.clamp_min(floor),
            None => log_p,
        };
        kl_divergence_rows(log_q, log_p)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "reverse-kl",
        abbreviation: "RKL",
        about: "matches the main modes of the teacher",
        kind: "response",
        aliases: &["rkl"],
        reference: "Gu et al., MiniLLM: Knowledge Distillation of Large Language Models, \
            ICLR 2024",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        distribution(builder, ReverseKlLossConfig::new(), |config| config.init())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(temperature: f64) -> ReverseKlLoss {
        ReverseKlLossConfig::new()
            .with_temperature(temperature)
            .init()
    }

    #[test]
    #[should_panic(
        expected = "`floor` should be finite and below 0, as a log-probability is, but is 1"
    )]
    fn floor_must_be_negative() {
        ReverseKlLossConfig::new().with_floor(Some(1.0)).init();
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", criterion(2.0)),
            "ReverseKlLoss {temperature: 2, scale_t2: false, floor: None}"
        );
    }
}
