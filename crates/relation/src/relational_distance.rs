use crate::smooth_l1::smooth_l1;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, pairwise_squared_distances};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss, one_line_display,
};

/// Configuration to create a [relational distance loss](RelationalDistanceLoss) using the [init
/// function](RelationalDistanceLossConfig::init).
#[derive(Config, Debug)]
pub struct RelationalDistanceLossConfig {}

impl RelationalDistanceLossConfig {
    /// Creates a [relational distance loss](RelationalDistanceLoss).
    pub fn init(&self) -> RelationalDistanceLoss {
        RelationalDistanceLoss {}
    }
}

impl Check for RelationalDistanceLossConfig {}

/// Relational KD, distance (RKD-D): matches the distances between pairs of samples, relative to
/// their mean.
///
/// ```text
/// dᵢⱼ = ‖xᵢ − xⱼ‖₂ / (mean of the distances between different samples)
/// L   = mean over i, j of smooth_l1(dᵢⱼ(student) − dᵢⱼ(teacher))
/// ```
///
/// The loss does not change if the features of either network are shifted, rotated or scaled. Equal
/// samples are treated as `1e-6` apart, and pass no gradient. The mean over `i, j` includes the
/// zeros of the diagonal. The teacher is a constant: no gradient flows to it. Half precision is
/// widened to single.
///
/// # Weights
///
/// For classification, the authors use a weight of 25 for this loss and 50 for the [angle
/// loss](crate::RelationalAngleLoss), beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::RelationalDistanceLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0], [1.0], [3.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 5.0], [0.0, 7.0], [0.0, 11.0]], &device);
///
/// let loss = RelationalDistanceLossConfig::new().init().forward(student, teacher);
///
/// assert!(loss.into_scalar::<f32>() < 1e-6); // the same distances up to a factor of two
/// ```
///
/// # Reference
///
/// W. Park, D. Kim, Y. Lu and M. Cho, [Relational Knowledge Distillation](
/// https://arxiv.org/abs/1904.05068), CVPR 2019. Agrees with `RkdDistance` of the authors' code and
/// with RepDistiller.
#[doc(alias = "RKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RelationalDistanceLoss {}

one_line_display!(RelationalDistanceLoss);

impl RelationalDistanceLoss {
    /// Computes the loss of a batch of features.
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
        if batch_size < 2 {
            return connected_zero(student);
        }
        let teacher = relative_distances(at_least_f32(teacher.without_autodiff()));
        let student = relative_distances(at_least_f32(student));
        smooth_l1(student.sub(teacher)).mean()
    }
}

/// Returns the distances of all pairs divided by their mean. Shape: `[batch_size, batch_size]`.
fn relative_distances(features: Tensor<2>) -> Tensor<2> {
    /// Squared distance of equal samples, so that they are included in the mean.
    const MIN_SQUARED_DISTANCE: f64 = 1e-12;

    let [batch_size, _] = features.dims();
    let squared = pairwise_squared_distances(features);
    let diagonal = Tensor::<2>::eye(batch_size, &squared.device()).bool();
    let distances = squared
        .clamp_min(MIN_SQUARED_DISTANCE)
        .sqrt()
        .mask_fill(diagonal, 0.0);
    let pairs = batch_size * (batch_size - 1);
    let mean = distances.clone().sum().div_scalar(pairs as f64);
    distances.div(mean.unsqueeze())
}

impl NamedLoss for RelationalDistanceLoss {
    fn name(&self) -> &'static str {
        "relational-distance"
    }
}

impl TapLoss for RelationalDistanceLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "relational-distance",
        abbreviation: "RKD-D",
        about: "matches the distances between pairs of samples",
        kind: "relation",
        aliases: &["rkd-distance"],
        reference: "Park et al., Relational Knowledge Distillation, CVPR 2019",
    };
    LossEntry::new(catalog, 25.0, |builder| {
        builder.pairs_of(
            DefaultTaps::Pooled,
            RelationalDistanceLossConfig::new(),
            |config| config.init(),
        )
    })
}
