use crate::StandardizationConfig;
use crate::standardized::standardized;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::loss::Reduction;
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Device, Tensor};
use burn_distill_core::numeric::{at_least_f32, kl_divergence_rows};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, Input, LossEntry, LossTerm, NamedLoss, PairedRows,
    check, one_line_display, reduce_rows,
};
use std::f64::consts::PI;

/// Minimum temperature, whatever the configuration.
const LEAST: f64 = 0.1;

/// Configuration to create a [learned temperature](LearnedTemperature) using the
/// [init function](LearnedTemperatureConfig::init).
#[derive(Config, Debug)]
pub struct LearnedTemperatureConfig {
    /// Lower end of the range of the temperature. Must be finite and not negative. Default: `1.0`.
    #[config(default = 1.0)]
    pub start: f64,
    /// Width of the range of the temperature. Must be positive and finite. Default: `20.0`.
    #[config(default = 20.0)]
    pub range: f64,
    /// Initial value of the parameter. Must be finite. Default: `1.0`, a temperature of 15.6.
    #[config(default = 1.0)]
    pub theta: f64,
    /// Epoch from which on the gradient of the parameter is fully reversed. Default: `10`.
    #[config(default = 10)]
    pub ramp: usize,
    /// Whether the logits are [standardized](crate::Standardized) first. Default: `false`.
    #[config(default = false)]
    pub standardize: bool,
}

impl LearnedTemperatureConfig {
    /// Creates a [learned temperature](LearnedTemperature).
    ///
    /// # Panics
    ///
    /// Panics if `start` is negative, if `range` is not positive, or if one of them or `theta` is
    /// not finite.
    pub fn init(&self, device: &Device) -> LearnedTemperature {
        self.assert_valid();
        LearnedTemperature {
            theta: Param::from_tensor(Tensor::from_data([self.theta], device)),
            start: self.start,
            range: self.range,
            ramp: self.ramp,
            standardize: self.standardize,
        }
    }
}

impl Check for LearnedTemperatureConfig {
    fn check(&self) -> Result<(), ConfigError> {
        // The temperature lies between the start and the start plus the range.
        check::in_range("start", self.start, 0.0..=1e6)?;
        check::temperature("range", self.range)?;
        check::in_range("theta", self.theta, -100.0..=100.0)
    }
}

/// Curriculum temperature (CTKD): soft targets at a temperature that is learned adversarially, to
/// be the hardest for the student.
///
/// With a trainable scalar `theta`, in epoch `e`,
///
/// ```text
/// T = start + range sigmoid(theta)
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// L = T² mean over rows of Σₖ pₖ (log pₖ − log qₖ)
/// gradient of theta = reversal · ∂L/∂theta,    reversal = −½ (1 − cos(π min(e, ramp) / ramp))
/// ```
///
/// The gradient of `theta` comes through `T²` and both softmaxes, including that of the constant
/// teacher. The student descends and `theta` ascends: the temperature moves to where student and
/// teacher differ most. The reversal grows over the first epochs, from easy to hard. If `theta`
/// descended too, the temperature would collapse to where there is nothing to learn. `T` is at
/// least 0.1. Rows and masks are as in a [`ResponseObjective`](crate::ResponseObjective). A class
/// that student and teacher both exclude by a logit of −∞ contributes nothing. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single. With `standardize` both
/// logits are [standardized](crate::Standardized) row by row before the temperature divides them.
///
/// `theta` is a parameter like those of an adapter: it is on a device, is trained with the student
/// by the same optimizer, weight decay included, and is saved in the checkpoints, not with the
/// student. The weight of the term multiplies its gradient, too.
///
/// # Weights
///
/// On CIFAR-100 the authors use weights of 0.1 for the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective) and 0.9 for this loss.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_core::Weighted;
/// use burn_distill_response::LearnedTemperatureConfig;
///
/// let loss = LearnedTemperatureConfig::new().init(&Device::default());
/// let objective = Weighted::of(loss, 0.9);
///
/// let temperature = objective.term.temperature().into_scalar::<f32>();
/// assert!((temperature - 15.6212).abs() < 1e-3);
/// assert!((objective.term.reversal(5) + 0.5).abs() < 1e-12); // half the reversal in epoch 5
/// ```
///
/// # Reference
///
/// Z. Li, X. Li, L. Yang, B. Zhao, R. Song, L. Luo, J. Li and J. Yang, [Curriculum Temperature for
/// Knowledge Distillation](https://arxiv.org/abs/2211.16231), AAAI 2023. Agrees with `Global_T` and
/// `CosineDecay` of the authors' CTKD, where the reversal is a positive factor times a schedule
/// that is negative. The paper also has a temperature for every sample, which their code leaves
/// out.
#[doc(alias = "CTKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LearnedTemperature {
    /// Trained parameter of the temperature. Shape: `[1]`.
    pub theta: Param<Tensor<1>>,
    /// Lower end of the range of the temperature.
    pub start: f64,
    /// Width of the range of the temperature.
    pub range: f64,
    /// Epoch from which on the gradient of the parameter is fully reversed.
    pub ramp: usize,
    /// Whether the logits are standardized first.
    pub standardize: bool,
}

one_line_display!(LearnedTemperature: start, range, ramp, standardize);

impl LearnedTemperature {
    /// Returns the current temperature. Shape: `[1]`.
    pub fn temperature(&self) -> Tensor<1> {
        sigmoid(at_least_f32(self.theta.val()))
            .mul_scalar(self.range)
            .add_scalar(self.start)
    }

    /// Returns the factor of the gradient of the parameter in an epoch, counted from 1: from 0 down
    /// to −1.
    pub fn reversal(&self, epoch: usize) -> f64 {
        if epoch >= self.ramp {
            return -1.0;
        }
        let passed = epoch as f64 / self.ramp as f64;
        -(1.0 - (PI * passed).cos()) / 2.0
    }

    /// Returns the temperature, with the gradient of the parameter multiplied by a factor.
    fn with_gradient_times(&self, factor: f64) -> Tensor<1> {
        let temperature = self.temperature();
        let constant = temperature.clone().without_autodiff();
        let zero = temperature.sub(constant.clone());
        constant.add(zero.mul_scalar(factor)).clamp_min(LEAST)
    }
}

impl NamedLoss for LearnedTemperature {
    fn name(&self) -> &'static str {
        "learned-temperature"
    }
}

impl LossTerm for LearnedTemperature {
    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let rows = PairedRows::new(&context.student.response, &context.teacher.response);
        let [student, teacher] = match self.standardize {
            true => {
                let StandardizationConfig { population, floor } = StandardizationConfig::new();
                standardized([rows.student, rows.teacher], population, floor)
            }
            false => [rows.student, rows.teacher],
        };
        let student = at_least_f32(student);
        let temperature = self.with_gradient_times(self.reversal(context.clock.epoch));
        let temperature = temperature.cast(student.dtype());

        let log_q = tempered(student, temperature.clone());
        let log_p = tempered(
            at_least_f32(teacher.without_autodiff()),
            temperature.clone(),
        );
        let loss = kl_divergence_rows(log_p, log_q);
        reduce_rows(loss, rows.mask, &Reduction::Mean).mul(temperature.square())
    }
}

/// Returns the logarithm of the softmax of `logits / temperature`, with gradients to both.
fn tempered(logits: Tensor<2>, temperature: Tensor<1>) -> Tensor<2> {
    // The quotient −∞ / T would give the temperature a gradient of 0 · ∞.
    let excluded = logits.clone().equal_scalar(f32::NEG_INFINITY);
    let logits = logits
        .mask_fill(excluded.clone(), 0.0)
        .div(temperature.unsqueeze::<2>())
        .mask_fill(excluded, f32::NEG_INFINITY);
    log_softmax(logits, 1)
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "learned-temperature",
        abbreviation: "CTKD",
        about: "learns a temperature adversarially",
        kind: "response",
        aliases: &["ctkd"],
        reference: "Li et al., Curriculum Temperature for Knowledge Distillation, AAAI 2023",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let config = builder.configure(LearnedTemperatureConfig::new())?;
        let loss = config.init(&builder.context().device);
        builder.term(loss)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use burn::module::{ModuleVisitor, ParamId};

    use burn_distill_core::{Knowledge, Objective, Weighted};

    fn objective(device: &Device) -> Weighted<LearnedTemperature> {
        Weighted::of(LearnedTemperatureConfig::new().init(device), 1.0)
    }

    #[test]
    fn reversal_grows_over_the_ramp() {
        let objective = objective(&Device::default());
        for (epoch, expected) in [
            (1, -0.024472),
            (2, -0.095492),
            (5, -0.5),
            (10, -1.0),
            (11, -1.0),
        ] {
            let reversal = objective.term.reversal(epoch);
            assert!(
                (reversal - expected).abs() < 1e-6,
                "epoch {epoch}: {reversal}"
            );
        }
        let at_once = LearnedTemperatureConfig::new().with_ramp(0);
        assert_eq!(at_once.init(&Device::default()).reversal(1), -1.0);
    }

    #[test]
    fn the_parameter_is_one_of_the_module() {
        #[derive(Default)]
        struct Seen(Vec<ParamId>);
        impl ModuleVisitor for Seen {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push(param.id);
            }
        }
        let device = Device::default();
        let trained = objective(&device);

        let mut seen = Seen::default();
        trained.visit(&mut seen);
        assert_eq!(seen.0, [trained.term.theta.id]);
        assert_eq!(trained.num_params(), 1);

        let trained = LearnedTemperatureConfig::new()
            .with_theta(0.25)
            .init(&device);
        let restored = objective(&device).load_record(trained.into_record());
        assert_eq!(restored.term.theta.val().into_scalar::<f32>(), 0.25);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 0 expected 4")]
    fn numbers_of_rows_must_match() {
        let device = Device::default();
        let student = Knowledge::from_logits(Tensor::zeros([4, 5], &device));
        let teacher = Knowledge::from_logits(Tensor::zeros([3, 5], &device));

        objective(&device).forward(&Context::of(&student, &teacher));
    }

    #[test]
    #[should_panic(expected = "`range` should be above 0, from 1e-6 to 1e9, but is 0")]
    fn range_must_be_positive() {
        LearnedTemperatureConfig::new()
            .with_range(0.0)
            .init(&Device::default());
    }

    #[test]
    fn config_survives_json() {
        let json = serde_json::to_string(&LearnedTemperatureConfig::new()).unwrap();
        assert_eq!(
            json,
            r#"{"start":1.0,"range":20.0,"theta":1.0,"ramp":10,"standardize":false}"#
        );

        let config = LearnedTemperatureConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.ramp, 10);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", objective(&Device::default()).with_name("curriculum")),
            "Weighted {start: 1, range: 20, ramp: 10, standardize: false, name: curriculum, \
             weight: Constant(1.0), params: 1}"
        );
    }
}
