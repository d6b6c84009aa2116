use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_normalize};
use burn_distill_core::{Tap, TapLoss};

/// Configuration to create a [probabilistic transfer loss](ProbabilisticTransferLoss) using the
/// [init function](ProbabilisticTransferLossConfig::init).
#[derive(Config, Debug)]
pub struct ProbabilisticTransferLossConfig {
    /// Added to probabilities before their logarithm. Above 0. Default: `1e-7`, the authors' code.
    #[config(default = 1e-7)]
    pub eps: f64,
}

impl ProbabilisticTransferLossConfig {
    /// Initialize a [probabilistic transfer loss](ProbabilisticTransferLoss).
    ///
    /// # Panics
    ///
    /// Panics if `eps` is not above zero.
    pub fn init(&self) -> ProbabilisticTransferLoss {
        assert!(
            self.eps > 0.0 && self.eps.is_finite(), // This also rejects NaN
            "Eps of probabilistic transfer must be above 0, got {}.",
            self.eps
        );
        ProbabilisticTransferLoss { eps: self.eps }
    }
}

/// Probabilistic knowledge transfer: a sample should choose its neighbors with the probabilities that
/// it chooses them with for the teacher.
///
/// ```text
/// sᵢⱼ = (1 + cosine of xᵢ and xⱼ) / 2
/// pᵢⱼ = sᵢⱼ / Σₖ sᵢₖ,    itself included
/// L   = mean over i, j of p(teacher) log((p(teacher) + eps) / (p(student) + eps))
/// ```
///
/// It does not change when samples are scaled, each by a factor of its own, nor when the features are
/// rotated. A sample of zeros is like all others to the same degree, and passes no gradient. The teacher
/// is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// RepDistiller takes 30000, Knowledge-Distillation-Zoo 10000 with an `eps` of `1e-6`, beside the
/// [cross-entropy with the labels](burn_distill_core::Hard). These are so large because the mean is over
/// all pairs: twice the batch size needs twice the weight.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::ProbabilisticTransferLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 2.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 3.0, 0.0], [4.0, 0.0, 0.0]], &device);
///
/// let loss = ProbabilisticTransferLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0); // at right angles both
/// ```
///
/// # Reference
///
/// N. Passalis and A. Tefas, [Learning Deep Representations with Probabilistic Knowledge Transfer](
/// https://arxiv.org/abs/1803.10837), ECCV 2018. Agrees with `cosine_similarity_loss` of the authors'
/// code and with RepDistiller, but for the `1e-7` that these add to the norm of a sample; where a sample
/// is zero their gradient is not a number.
#[doc(alias = "PKT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ProbabilisticTransferLoss {
    /// Added to probabilities before their logarithm.
    pub eps: f64,
}

impl ModuleDisplay for ProbabilisticTransferLoss {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("eps", &self.eps).optional()
    }
}

impl ProbabilisticTransferLoss {
    /// The loss of a batch of features.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - teacher: `[batch_size, teacher_features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = probabilities(at_least_f32(teacher.without_autodiff()));
        let student = probabilities(at_least_f32(student)).add_scalar(self.eps);
        let ratio = teacher.clone().add_scalar(self.eps).div(student);
        teacher.mul(ratio.log()).mean()
    }
}

/// With which probability each sample chooses each. Shape: `[batch_size, batch_size]`.
fn probabilities(features: Tensor<2>) -> Tensor<2> {
    let unit = l2_normalize(features, 1);
    // Rounding takes the cosine of opposite samples below −1.
    let similarity = unit
        .clone()
        .matmul(unit.transpose())
        .add_scalar(1.0)
        .mul_scalar(0.5)
        .clamp_min(0.0);
    similarity.clone().div(similarity.sum_dim(1))
}

impl TapLoss for ProbabilisticTransferLoss {
    fn name(&self) -> &'static str {
        "probabilistic-transfer"
    }

    fn forward_taps(&self, student: Tap, teacher: Tap) -> Tensor<1> {
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}
