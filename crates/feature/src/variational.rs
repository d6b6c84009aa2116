use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::{relu, softplus};
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    TapPair, check, one_line_display,
};

/// Configuration to create a [variational loss](VidLoss) using the
/// [init function](VidLossConfig::init).
#[derive(Config, Debug)]
pub struct VidLossConfig {
    /// Initial variance of every channel. Above `epsilon`. Default: `5.0`.
    #[config(default = 5.0)]
    pub variance: f64,
    /// Lower bound of the variance of a channel. Above 0. Default: `1e-5`.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Whether the variances are learned instead of fixed. Default: `true`.
    #[config(default = true)]
    pub learn_variance: bool,
}

impl VidLossConfig {
    /// Creates a [variational loss](VidLoss) between features with these numbers of channels.
    ///
    /// # Panics
    ///
    /// Panics if the variance is not above epsilon, or epsilon not above 0.
    pub fn init(
        &self,
        student_channels: usize,
        teacher_channels: usize,
        device: &Device,
    ) -> VidLoss {
        self.assert_valid();
        let Self {
            variance,
            epsilon,
            learn_variance,
        } = *self;
        let conv = |inputs| {
            Conv2dConfig::new([inputs, teacher_channels], [1, 1])
                .with_bias(false)
                .init(device)
        };
        // The inverse of the softplus: log(exp(x) − 1), which for a large x is x.
        let excess = variance - epsilon;
        let alpha = excess + (-(-excess).exp()).ln_1p();
        VidLoss {
            regressor: [student_channels, teacher_channels, teacher_channels].map(conv),
            alpha: Param::from_tensor(Tensor::full([teacher_channels], alpha, device)),
            epsilon,
            learn_variance,
        }
    }
}

impl Check for VidLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("epsilon", self.epsilon)?;
        check::ensure(
            self.variance > self.epsilon && (self.variance as f32).is_finite(), // Also rejects NaN
            "variance",
            format_args!("finite and above `epsilon`, {}", self.epsilon),
            self.variance,
        )
    }
}

/// Variational information distillation (VID): maximizes the likelihood of the teacher's features
/// under a normal distribution that is predicted from the student, with a learned variance per
/// channel.
///
/// ```text
/// mean     = regressor(student),   three 1×1 convolutions without bias, ReLU between them
/// variance = softplus(alpha) + epsilon,   per channel
/// L = mean of ½ ((mean − teacher)² / variance + log variance)
/// ```
///
/// This is the negative log-likelihood without its constant; minimizing it maximizes a lower bound
/// on the mutual information. It can be negative, down to `½ log epsilon`. The regressor and the
/// variances are trained with the student. The larger map is pooled to the size of the smaller. The
/// teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// With fixed variances the loss is half the mean squared error divided by the variance, plus a
/// constant, as in mdistiller.
///
/// # Weights
///
/// RepDistiller uses a weight of 1 for the sum over the stages, beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::VidLossConfig;
///
/// let device = Device::default();
/// let vid = VidLossConfig::new().init(16, 64, &device);
///
/// let student = Tensor::zeros([2, 16, 8, 8], &device);
/// let teacher = Tensor::zeros([2, 64, 4, 4], &device);
/// let loss = vid.forward(student, teacher).into_scalar::<f32>();
///
/// assert!((loss - 0.5 * 5.0_f32.ln()).abs() < 1e-5);
/// ```
///
/// # Reference
///
/// S. Ahn et al., [Variational Information Distillation for Knowledge Transfer](
/// https://arxiv.org/abs/1904.05835), CVPR 2019. Agrees with `VIDLoss` of RepDistiller, and
/// without `learn_variance` with that of mdistiller, which never trains its variances.
#[doc(alias = "VID")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct VidLoss {
    /// Convolutions from the student's channels to the teacher's.
    pub regressor: [Conv2d; 3],
    /// Parameters of the variances, before the softplus. Shape: `[teacher_channels]`.
    pub alpha: Param<Tensor<1>>,
    /// Lower bound of the variances.
    pub epsilon: f64,
    /// Whether the variances are learned.
    pub learn_variance: bool,
}

one_line_display!(
    VidLoss: student_channels = |loss| Some(&loss.regressor[0].weight.lazy_shape()[1]),
    teacher_channels = |loss| Some(&loss.alpha.lazy_shape()[0]),
    epsilon,
    learn_variance
);

impl VidLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, student_channels, height, width]`
    /// - teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ, or if the channels are not those given at creation.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let batch_size = student.dims()[0];
        assert_shape!(teacher, [batch_size, _, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let [first, second, third] = &self.regressor;
        let hidden = relu(first.forward(student));
        let hidden = relu(second.forward(hidden));
        self.forward_regressed(third.forward(hidden), teacher)
    }

    /// Computes the loss for the output of a regressor.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, teacher_channels, height, width]`, the mean of the distribution
    /// - teacher: the same shape
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ, or if the channels are not those given at creation.
    pub fn forward_regressed(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, _, height, width] = student.dims();
        let [channels] = self.alpha.dims();
        assert_shape!(teacher, [batch_size, channels, height, width]);
        assert_shape!(student, [_, channels, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let (student, teacher) = (
            at_least_f32(student),
            at_least_f32(teacher.without_autodiff()),
        );
        let variance = self.variance().cast(student.dtype());
        let variance = variance.reshape([1, channels, 1, 1]);
        student
            .sub(teacher)
            .square()
            .div(variance.clone())
            .add(variance.log())
            .mean()
            .div_scalar(2.0)
    }

    /// Returns the variance of every channel. Shape: `[teacher_channels]`.
    pub fn variance(&self) -> Tensor<1> {
        let alpha = match self.learn_variance {
            true => self.alpha.val(),
            // Detached, because optimizers skip a parameter without a gradient, also in weight
            // decay.
            false => self.alpha.val().without_autodiff(),
        };
        softplus(at_least_f32(alpha), 1.0).add_scalar(self.epsilon)
    }
}

impl NamedLoss for VidLoss {
    fn name(&self) -> &'static str {
        "variational"
    }
}

impl TapLoss for VidLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "variational",
        abbreviation: "VID",
        about: "maximizes the likelihood of the teacher's features",
        kind: "feature",
        aliases: &["vid"],
        reference: "Ahn et al., Variational Information Distillation for Knowledge Transfer, \
            CVPR 2019",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let context = builder.context();
        let pairs = builder.pairs(DefaultTaps::Stages)?;
        let config = builder.configure(VidLossConfig::new())?;
        builder.pairs_of_channels(pairs, |student, teacher, [inputs, outputs]| {
            let loss = config.init(inputs, outputs, &context.device);
            TapPair::new(student, teacher, loss)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::parameter_count;

    #[test]
    fn the_initial_variance_is_the_configured_one() {
        let device = Device::default();
        for variance in [2e-5, 1.0, 5.0, 500.0] {
            let config = VidLossConfig::new().with_variance(variance);
            let found = config.init(2, 1, &device).variance().into_scalar::<f64>();
            assert!((found / variance - 1.0).abs() < 1e-3, "{variance}: {found}");
        }
        // log(exp(5 − 1e-5) − 1)
        let alpha = VidLossConfig::new().init(2, 1, &device).alpha.val();
        assert!((alpha.into_scalar::<f64>() - 4.99322918).abs() < 1e-6);
    }

    #[test]
    fn no_alpha_makes_the_variance_infinite_or_negative() {
        let device = Device::default().autodiff();
        let alpha = Tensor::<1>::from_floats([-1e4, -100.0, 0.0, 100.0, 1e4], &device);
        let mut vid = VidLossConfig::new().init(2, 5, &device);
        vid.alpha = Param::from_tensor(alpha.clone());

        let variance = vid.variance();
        let grads = variance.clone().sum().backward();

        let found: Vec<f64> = variance.into_data().iter::<f64>().collect();
        let expected = [1e-5, 1e-5, std::f64::consts::LN_2 + 1e-5, 100.0, 1e4];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
        }
        let slopes = vid.alpha.val().grad(&grads).unwrap().into_data();
        let expected = [0.0, 0.0, 0.5, 1.0, 1.0];
        for (found, expected) in slopes.iter::<f64>().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn the_regressor_and_the_variances_are_counted() {
        let vid = VidLossConfig::new().init(3, 5, &Device::default());

        assert_eq!(parameter_count(&vid), 3 * 5 + 5 * 5 + 5 * 5 + 5);
    }

    #[test]
    #[should_panic(expected = "`variance` should be finite and above `epsilon`")]
    fn the_variance_must_be_above_epsilon() {
        VidLossConfig::new()
            .with_variance(1e-5)
            .init(1, 1, &Device::default());
    }
}
