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

/// The least temperature, however it is configured.
const LEAST: f64 = 0.1;

/// Configuration to create a [learned temperature](LearnedTemperature) using the
/// [init function](LearnedTemperatureConfig::init).
#[derive(Config, Debug)]
pub struct LearnedTemperatureConfig {
    /// The temperature that it stays above. Must be finite and not negative. Default: `1.0`.
    #[config(default = 1.0)]
    pub start: f64,
    /// How far above `start` it stays below. Must be positive and finite. Default: `20.0`.
    #[config(default = 20.0)]
    pub range: f64,
    /// The parameter before training. Must be finite. Default: `1.0`, a temperature of 15.6.
    #[config(default = 1.0)]
    pub theta: f64,
    /// The epoch from which on the temperature opposes the student in full. Default: `10`.
    #[config(default = 10)]
    pub ramp: usize,
    /// Whether the logits are [standardized](crate::Standardized) first. Default: `false`.
    #[config(default = false)]
    pub standardize: bool,
}

impl LearnedTemperatureConfig {
    /// Initialize a [learned temperature](LearnedTemperature).
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

/// Soft targets at a temperature that learns to be the hardest for the student (curriculum
/// temperature).
///
/// With a trainable number `theta`, in epoch `e`,
///
/// ```text
/// T = start + range sigmoid(theta)
/// p = softmax(teacher / T)
/// q = softmax(student / T)
/// L = T² mean over rows of Σₖ pₖ (log pₖ − log qₖ)
/// gradient of theta = reversal · ∂L/∂theta,    reversal = −½ (1 − cos(π min(e, ramp) / ramp))
/// ```
///
/// The gradient of `theta` comes through `T²` and both softmaxes, that of the constant teacher
/// included. The student descends, `theta` ascends: the temperature moves to where the two differ
/// most. How much so grows over the first epochs, from easy to hard. Minimizing it as well would
/// let the temperature collapse to where there is nothing to learn. `T` is at least 0.1. Rows and
/// masks are those of a [`ResponseObjective`](crate::ResponseObjective). A class that both exclude
/// by a logit of −∞ contributes nothing. The teacher is a constant: no gradient flows to it. Half
/// precision is widened to single. With `standardize` both logits are
/// [standardized](crate::Standardized) row by row before the temperature divides them.
///
/// `theta` is a parameter like those of an adapter: it is on a device, trains with the student
/// under the same optimizer, weight decay included, and is saved in the checkpoints, not with the
/// student. The weight of the term multiplies its gradient, too.
///
/// # Weights
///
/// On CIFAR-100 the authors take 0.1 of the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective) and 0.9 of this.
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
/// assert!((objective.term.reversal(5) + 0.5).abs() < 1e-12); // half of it in the fifth epoch
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
    /// What is learned. Shape: `[1]`.
    pub theta: Param<Tensor<1>>,
    /// The temperature that it stays above.
    pub start: f64,
    /// How far above `start` it stays below.
    pub range: f64,
    /// The epoch from which on the temperature opposes the student in full.
    pub ramp: usize,
    /// Whether the logits are standardized first.
    pub standardize: bool,
}

one_line_display!(LearnedTemperature: start, range, ramp, standardize);

impl LearnedTemperature {
    /// The temperature, by the parameter as it stands. Shape: `[1]`.
    pub fn temperature(&self) -> Tensor<1> {
        sigmoid(at_least_f32(self.theta.val()))
            .mul_scalar(self.range)
            .add_scalar(self.start)
    }

    /// What the gradient of the parameter is multiplied by in that epoch, counted from 1: from 0
    /// down to −1.
    pub fn reversal(&self, epoch: usize) -> f64 {
        if epoch >= self.ramp {
            return -1.0;
        }
        let passed = epoch as f64 / self.ramp as f64;
        -(1.0 - (PI * passed).cos()) / 2.0
    }

    /// The temperature, with the gradient of the parameter multiplied by a factor.
    fn opposed(&self, factor: f64) -> Tensor<1> {
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
        let rows = PairedRows::of(&context.student.response, &context.teacher.response);
        let [student, teacher] = match self.standardize {
            true => {
                let StandardizationConfig { population, floor } = StandardizationConfig::new();
                standardized([rows.student, rows.teacher], population, floor)
            }
            false => [rows.student, rows.teacher],
        };
        let student = at_least_f32(student);
        let temperature = self.opposed(self.reversal(context.clock.epoch));
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

/// Logarithm of the softmax of `logits / temperature`, with gradients to both.
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
    use crate::fixtures::{student, teacher};
    use crate::{ResponseObjective, SoftTargetLossConfig};
    use burn::module::{ModuleVisitor, ParamId};
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::TensorData;
    use burn_distill_core::{
        Clock, Knowledge, Objective, Response, Taps, Targets, Terms, Weighted,
    };

    fn in_epoch(epoch: usize) -> Clock {
        Clock {
            epoch,
            batch: 0,
            batches: 1,
        }
    }

    fn knowledge(response: impl Into<Response>) -> Knowledge {
        Knowledge {
            response: response.into(),
            taps: Taps::default(),
        }
    }

    fn objective(device: &Device) -> Weighted<LearnedTemperature> {
        Weighted::of(LearnedTemperatureConfig::new().init(device), 1.0)
    }

    fn terms(
        objective: &impl Objective,
        student: Tensor<2>,
        teacher: Tensor<2>,
        epoch: usize,
    ) -> Terms {
        let (student, teacher) = (knowledge(student), knowledge(teacher));
        let targets = Targets::Unlabeled;
        objective.forward(&Context::new(
            &student,
            &teacher,
            &targets,
            &[],
            in_epoch(epoch),
        ))
    }

    /// The value, the norm of the gradient of the student, and the gradient of the parameter.
    fn value_and_gradients(epoch: usize) -> (f64, f64, f64) {
        let device = Device::default().autodiff();
        let objective = objective(&device);
        let student = student(&device).require_grad();
        let teacher = teacher(&device).require_grad();

        let loss = terms(&objective, student.clone(), teacher.clone(), epoch).total();
        let grads = loss.clone().backward();

        assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
        let gradient = student.grad(&grads).unwrap();
        let norm = gradient.square().sum().into_scalar::<f64>().sqrt();
        let theta = objective.term.theta.val().grad(&grads).unwrap();
        (loss.into_scalar::<f64>(), norm, theta.into_scalar::<f64>())
    }

    // Expected values: `Global_T` with `CosineDecay` of CTKD, and scripts/response_batch.py.

    #[test]
    fn matches_the_reference_implementation() {
        for (epoch, expected) in [
            (10, -0.0036023067),
            (99, -0.0036023067),
            (5, -0.0018011534),
            (1, -0.024472 * 0.0036023067),
        ] {
            let (value, norm, theta) = value_and_gradients(epoch);

            assert!((value / 3.61311205 - 1.0).abs() < 1e-5, "{value}");
            assert!((norm / 0.608897767 - 1.0).abs() < 1e-5, "{norm}");
            // A small difference of large numbers, in single precision.
            let error = (theta - expected).abs();
            assert!(error < 2e-5, "epoch {epoch}: {theta} is not {expected}");
        }
    }

    #[test]
    fn it_may_be_of_standardized_logits() {
        let device = Device::default().autodiff();
        // At 1.9 degrees: the higher the temperature, the more rounding there is in so small a loss.
        let objective = LearnedTemperatureConfig::new()
            .with_theta(-3.0)
            .with_standardize(true);
        let objective = Weighted::of(objective.init(&device), 1.0);
        let student = student(&device).require_grad();

        let loss = terms(&objective, student.clone(), teacher(&device), 1).total();
        let grads = loss.clone().backward();

        let gradient = student.grad(&grads).unwrap();
        let norm = gradient.square().sum().into_scalar::<f64>().sqrt();
        let value = loss.into_scalar::<f64>();
        // scripts/response_batch.py
        assert!((value / 0.83918172 - 1.0).abs() < 1e-4, "{value}");
        assert!((norm / 0.108959272 - 1.0).abs() < 1e-4, "{norm}");
    }

    #[test]
    fn gradient_of_the_parameter_is_reversed_in_double_precision() {
        let device = Device::default();
        if !device.supports_dtype(burn::tensor::DType::F64) {
            return;
        }
        let device = device.autodiff();
        let double = |tensor: Tensor<2>| tensor.cast(burn::tensor::DType::F64);
        let mut objective = objective(&device);
        objective.term.theta = objective
            .term
            .theta
            .map(|theta| theta.cast(burn::tensor::DType::F64).detach().require_grad());
        for (epoch, expected) in [(10, -0.0036023067), (5, -0.0018011534)] {
            let (student, teacher) = (double(student(&device)), double(teacher(&device)));
            let grads = terms(&objective, student, teacher, epoch)
                .total()
                .backward();
            let theta = objective
                .term
                .theta
                .val()
                .grad(&grads)
                .unwrap()
                .into_scalar::<f64>();
            // The logits come in single precision.
            assert!(
                (theta / expected - 1.0).abs() < 1e-5,
                "{theta} is not {expected}"
            );
        }
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
    fn it_is_the_soft_target_loss_at_its_temperature() {
        let device = Device::default();
        let learned = objective(&device);
        let temperature = learned.term.temperature().into_scalar::<f64>();
        let fixed = SoftTargetLossConfig::new().with_temperature(temperature);
        let fixed = ResponseObjective::new(fixed.init(), 1.0);

        let learned = terms(&learned, student(&device), teacher(&device), 1).total();
        let fixed = terms(&fixed, student(&device), teacher(&device), 1).total();

        let difference = learned.sub(fixed).abs().into_scalar::<f32>();
        assert!(difference < 1e-4, "{difference}");
    }

    #[test]
    fn a_step_raises_the_loss_by_its_temperature() {
        let device = Device::default().autodiff();
        // At 3.4 degrees, where the loss clearly grows with the temperature.
        let config = LearnedTemperatureConfig::new().with_theta(-2.0);
        let objective = Weighted::of(config.init(&device), 1.0);
        let before = terms(&objective, student(&device), teacher(&device), 10).total();
        let grads = GradientsParams::from_grads(before.clone().backward(), &objective);

        let theta = objective.term.theta.val().into_scalar::<f32>();
        let objective = SgdConfig::new().init().step(0.5, objective, grads);
        let after = terms(&objective, student(&device), teacher(&device), 10).total();

        assert!(objective.term.theta.val().into_scalar::<f32>() > theta);
        assert!(after.into_scalar::<f64>() > before.into_scalar::<f64>());
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
    fn extreme_logits_keep_values_and_gradients_finite() {
        let device = Device::default().autodiff();
        let rows = |rows: [[f32; 3]; 2]| Tensor::<2>::from_data(rows, &device);
        const NONE: f32 = f32::NEG_INFINITY;
        for (student, teacher) in [
            (rows([[0.0; 3]; 2]), rows([[0.0; 3]; 2])),
            (rows([[1.0, 2.0, 3.0]; 2]), rows([[1.0, 2.0, 3.0]; 2])),
            (
                rows([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]]),
                rows([[-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]]),
            ),
            (
                rows([[1.0, NONE, 2.0], [NONE, 0.0, NONE]]),
                rows([[0.0, NONE, 5.0], [NONE, 3.0, NONE]]),
            ),
            (
                Tensor::from_data([[1.0], [2.0]], &device),
                Tensor::from_data([[1e4], [0.0]], &device),
            ),
            (
                Tensor::from_data([[1.0, 2.0]], &device),
                Tensor::from_data([[1e4, 0.0]], &device),
            ),
        ] {
            let objective = objective(&device);
            let student = student.require_grad();
            let loss = terms(&objective, student.clone(), teacher, 10).total();
            let grads = loss.clone().backward();

            assert!(loss.into_scalar::<f32>().is_finite());
            let theta = objective.term.theta.val().grad(&grads).unwrap().into_data();
            let gradient = student.grad(&grads).unwrap().into_data();
            assert!(theta.iter::<f32>().all(f32::is_finite), "{theta}");
            assert!(gradient.iter::<f32>().all(f32::is_finite), "{gradient}");
        }
    }

    #[test]
    fn without_a_token_nothing_is_learned() {
        let device = Device::default().autodiff();
        let objective = objective(&device);
        let tokens = |logits: Tensor<2>| {
            knowledge(Response::Tokens {
                logits: logits.reshape([2, 2, 5]),
                mask: Tensor::from_data([[false; 2]; 2], &device),
            })
        };
        let (student, teacher) = (tokens(student(&device)), tokens(teacher(&device)));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], in_epoch(10));

        let loss = objective.forward(&context).total();
        let grads = loss.clone().backward();

        assert_eq!(loss.into_scalar::<f32>(), 0.0);
        let theta = objective.term.theta.val().grad(&grads).unwrap().into_data();
        theta.assert_eq(&TensorData::from([0.0_f32]), false);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 0 expected 4")]
    fn numbers_of_rows_must_match() {
        let device = Device::default();
        terms(
            &objective(&device),
            student(&device),
            Tensor::zeros([3, 5], &device),
            1,
        );
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
