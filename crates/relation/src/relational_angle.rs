use crate::smooth_l1::{smooth_l1, smooth_l1_derivative};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, pairwise_squared_distances};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    check, one_line_display,
};
use std::ops::Range;

/// Configuration to create a [relational angle loss](RelationalAngleLoss) using the [init
/// function](RelationalAngleLossConfig::init).
#[derive(Config, Debug)]
pub struct RelationalAngleLossConfig {
    /// Number of anchors that are processed at once. At least 1. Default: `4`, which on a CPU is
    /// several times as fast as all at once in batches of 128 and more; a GPU may be faster with
    /// more.
    ///
    /// The loss needs memory for `chunk · batch_size²` numbers; the result does not depend on it.
    #[config(default = 4)]
    pub chunk: usize,
}

impl RelationalAngleLossConfig {
    /// Creates a [relational angle loss](RelationalAngleLoss).
    ///
    /// # Panics
    ///
    /// Panics if `chunk` is zero.
    pub fn init(&self) -> RelationalAngleLoss {
        self.assert_valid();
        RelationalAngleLoss { chunk: self.chunk }
    }
}

impl Check for RelationalAngleLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("chunk", self.chunk, 1)
    }
}

/// Relational KD, angle (RKD-A): matches the angles at each sample between every two other samples.
///
/// ```text
/// cosᵢⱼₖ = cosine of the angle at xᵢ, the anchor, between xⱼ and xₖ
///        = (dᵢⱼ² + dᵢₖ² − dⱼₖ²) / (2 dᵢⱼ dᵢₖ),    0 where dᵢⱼ or dᵢₖ is zero
/// L      = mean over i, j, k of smooth_l1(cosᵢⱼₖ(student) − cosᵢⱼₖ(teacher))
/// ```
///
/// By the law of cosines the angles follow from the distances between pairs, so no difference of
/// features is ever computed; and the derivative with respect to the distances is accumulated with
/// the value, for `chunk` [anchors](Self::chunk) at a time. No tensor of the size of all triples is
/// held, not even in the backward pass: memory grows with `batch_size²`.
///
/// The loss does not change if the features of either network are shifted, rotated or scaled. The
/// teacher is a constant: no gradient flows to it. Half precision is widened to single. The loss
/// has first derivatives only.
///
/// # Weights
///
/// For classification, the authors use a weight of 50 for this loss and 25 for the [distance
/// loss](crate::RelationalDistanceLoss), beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::RelationalAngleLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], &device);
/// let teacher = Tensor::<2>::from_data([[5.0, 5.0], [5.0, 8.0], [-1.0, 5.0]], &device);
///
/// let loss = RelationalAngleLossConfig::new().init().forward(student, teacher);
///
/// assert!(loss.into_scalar::<f32>() < 1e-6); // turned, shifted and three times as large
/// ```
///
/// # Reference
///
/// W. Park, D. Kim, Y. Lu and M. Cho, [Relational Knowledge
/// Distillation](https://arxiv.org/abs/1904.05068), CVPR 2019. Agrees with `RKdAngle` of the
/// authors' code and with RepDistiller.
#[doc(alias = "RKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RelationalAngleLoss {
    /// Number of anchors that are processed at once.
    pub chunk: usize,
}

one_line_display!(RelationalAngleLoss: chunk);

impl RelationalAngleLoss {
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
        if batch_size == 0 {
            return connected_zero(student);
        }
        let student = pairwise_squared_distances(at_least_f32(student));
        let teacher = pairwise_squared_distances(at_least_f32(teacher.without_autodiff()));
        let (value, gradient) = self.compare(student.clone().without_autodiff(), teacher);
        // Zero in value, with the precomputed gradient in the autodiff graph.
        let tangent = student.mul(gradient).sum();
        value.add(tangent.clone().sub(tangent.without_autodiff()))
    }

    /// Returns the value and its derivative with respect to the student's squared distances.
    fn compare(&self, student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let [batch_size, _] = student.dims();
        let mut value = Tensor::zeros([1], (&student.device(), student.dtype()));
        // Derivatives with respect to the two sides at each anchor, one row per anchor, and to the
        // opposite side.
        let mut by_sides = Vec::new();
        let mut by_opposite = student.zeros_like();
        for start in (0..batch_size).step_by(self.chunk) {
            let anchors = start..batch_size.min(start.saturating_add(self.chunk));
            let Angles { cosines, inverse } = Angles::new(&student, anchors.clone());
            let difference = cosines.clone().sub(Angles::new(&teacher, anchors).cosines);
            value = value.add(smooth_l1(difference.clone()).sum());

            let slope = smooth_l1_derivative(difference);
            let turn = inverse
                .clone()
                .square()
                .mul(slope.clone().mul(cosines).sum_dim(2).squeeze_dim(2));
            let slope = slope.mul(products(inverse));
            by_sides.push(slope.clone().sum_dim(2).squeeze_dim::<2>(2).sub(turn));
            by_opposite = by_opposite.add(slope.sum_dim(0).squeeze_dim(0));
        }
        let gradient = Tensor::cat(by_sides, 0).sub(by_opposite.mul_scalar(0.5));
        let triples = (batch_size as f64).powi(3);
        (value.div_scalar(triples), gradient.div_scalar(triples))
    }
}

/// Angles at several anchors.
struct Angles {
    /// Cosines of the angles. Shape: `[anchors, batch_size, batch_size]`
    cosines: Tensor<3>,
    /// Reciprocals of the distances from the anchors, 0 for equal samples. Shape:
    /// `[anchors, batch_size]`
    inverse: Tensor<2>,
}

impl Angles {
    fn new(squared_distances: &Tensor<2>, anchors: Range<usize>) -> Self {
        /// Squared distances up to this value are treated as zero.
        const EPS: f64 = 1e-24;

        let distances = squared_distances.clone().slice([anchors]);
        let equal = distances.clone().lower_equal_scalar(EPS);
        let inverse = distances
            .clone()
            .mask_fill(equal.clone(), 1.0)
            .sqrt()
            .recip()
            .mask_fill(equal, 0.0);
        let opposite = squared_distances.clone().unsqueeze::<3>();
        let cosines = sums(distances)
            .sub(opposite)
            .mul_scalar(0.5)
            .mul(products(inverse.clone()));
        Self { cosines, inverse }
    }
}

/// Returns `xᵢⱼ + xᵢₖ`. From `[anchors, batch_size]` to `[anchors, batch_size, batch_size]`.
fn sums(x: Tensor<2>) -> Tensor<3> {
    x.clone().unsqueeze_dim::<3>(2).add(x.unsqueeze_dim(1))
}

/// Returns `xᵢⱼ · xᵢₖ`. From `[anchors, batch_size]` to `[anchors, batch_size, batch_size]`.
fn products(x: Tensor<2>) -> Tensor<3> {
    x.clone().unsqueeze_dim::<3>(2).mul(x.unsqueeze_dim(1))
}

impl NamedLoss for RelationalAngleLoss {
    fn name(&self) -> &'static str {
        "relational-angle"
    }
}

impl TapLoss for RelationalAngleLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "relational-angle",
        abbreviation: "RKD-A",
        about: "matches the angles between triples of samples",
        kind: "relation",
        aliases: &["rkd-angle"],
        reference: "Park et al., Relational Knowledge Distillation, CVPR 2019",
    };
    LossEntry::new(catalog, 50.0, |builder| {
        builder.pairs_of(
            DefaultTaps::Pooled,
            RelationalAngleLossConfig::new(),
            |config| config.init(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, TensorData, Tolerance};
    use burn_distill_core::numeric::l2_normalize;

    /// Computes the loss directly from its definition, with every normalized difference of
    /// features.
    fn naive(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let cosines = |features: Tensor<2>| {
            let differences: Tensor<3> = features
                .clone()
                .unsqueeze_dim::<3>(0)
                .sub(features.unsqueeze_dim(1));
            let unit = l2_normalize(differences, 2);
            unit.clone().matmul(unit.transpose())
        };
        smooth_l1(cosines(student).sub(cosines(teacher))).mean()
    }

    fn features(samples: usize, size: usize, frequency: f64, dtype: DType) -> Tensor<2> {
        let values = (0..samples * size).map(|n| (frequency * n as f64 + 0.3).sin());
        let data = TensorData::new(values.collect::<Vec<_>>(), [samples, size]);
        Tensor::from_data(data, (&Device::flex(), dtype))
    }

    /// Returns the value and the gradient of a loss.
    fn outcome(
        loss: impl Fn(Tensor<2>) -> Tensor<1>,
        student: &Tensor<2>,
    ) -> (TensorData, TensorData) {
        let student = student.clone().autodiff().require_grad();
        let value = loss(student.clone());
        let grads = value.backward();
        let gradient = student.grad(&grads).unwrap();
        (value.into_data(), gradient.into_data())
    }

    #[test]
    fn values_and_gradients_agree_with_the_direct_computation() {
        let student = features(11, 7, 0.7, DType::F64);
        let teacher = features(11, 5, 1.9, DType::F64);
        let expected = outcome(|student| naive(student, teacher.clone()), &student);
        for chunk in [1, 4, 11, usize::MAX] {
            let loss = RelationalAngleLossConfig::new().with_chunk(chunk).init();

            let found = outcome(|student| loss.forward(student, teacher.clone()), &student);

            let tolerance = Tolerance::<f64>::rel_abs(1e-10, 1e-14);
            found.0.assert_approx_eq(&expected.0, tolerance);
            found.1.assert_approx_eq(&expected.1, tolerance);
        }
    }

    #[test]
    fn the_result_does_not_depend_on_the_chunk() {
        let tolerance = Tolerance::<f64>::rel_abs(1e-12, 1e-16);
        for batch_size in 1..=9 {
            let student = features(batch_size, 7, 0.7, DType::F64);
            let teacher = features(batch_size, 5, 1.9, DType::F64);
            let of_chunk = |chunk| {
                let loss = RelationalAngleLossConfig::new().with_chunk(chunk).init();
                outcome(|student| loss.forward(student, teacher.clone()), &student)
            };
            let whole = of_chunk(batch_size);
            for chunk in 1..batch_size {
                let part = of_chunk(chunk);
                part.0.assert_approx_eq(&whole.0, tolerance);
                part.1.assert_approx_eq(&whole.1, tolerance);
            }
        }
    }

    #[test]
    fn equal_samples_have_no_angle() {
        // Features so large that the rounding errors of their products are not small.
        let half = features(5, 64, 0.7, DType::F32).mul_scalar(1e3);
        let student = Tensor::cat(vec![half.clone(), half], 0);
        let teacher = features(10, 6, 1.9, DType::F32);
        let loss = RelationalAngleLossConfig::new().init();

        let found = outcome(|student| loss.forward(student, teacher.clone()), &student);

        let expected = outcome(|student| naive(student, teacher.clone()), &student);
        let tolerance = Tolerance::<f32>::rel_abs(1e-4, 1e-9);
        found.0.assert_approx_eq(&expected.0, tolerance);
        found.1.assert_approx_eq(&expected.1, tolerance);
    }
}
