use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::{Reduction, SmoothL1LossConfig};
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{Check, ConfigError, check, one_line_display, reduce_rows};

/// Configuration to create a [bounded regression loss](BoundedRegressionLoss) using the
/// [init function](BoundedRegressionLossConfig::init).
#[derive(Config, Debug)]
pub struct BoundedRegressionLossConfig {
    /// Margin by which the squared error of the student must be smaller than that of the teacher.
    /// Not negative. Default: `0.0`.
    #[config(default = 0.0)]
    pub margin: f64,
    /// Weight of the bounded part. Not negative. Default: `0.5`.
    #[config(default = 0.5)]
    pub bounded_weight: f64,
}

impl BoundedRegressionLossConfig {
    /// Creates a [bounded regression loss](BoundedRegressionLoss).
    ///
    /// # Panics
    ///
    /// Panics if `margin` or `bounded_weight` is negative or not finite.
    pub fn init(&self) -> BoundedRegressionLoss {
        self.assert_valid();
        BoundedRegressionLoss {
            margin: self.margin,
            bounded_weight: self.bounded_weight,
        }
    }
}

impl Check for BoundedRegressionLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::not_negative("margin", self.margin)?;
        check::weight("bounded_weight", self.bounded_weight)
    }
}

/// Bounded regression of boxes: the error of the teacher is a bound that the student should beat,
/// not a target.
///
/// For every matched proposal, with the encoded box of the annotation as `target`,
///
/// ```text
/// e_s = ‖student − target‖²,    e_t = ‖teacher − target‖²
/// bounded = e_s where e_s + margin > e_t, else 0
/// L = Σ smooth_l1(student − target) + bounded_weight · bounded
/// ```
///
/// The box of a teacher may be anywhere, even farther from the annotation than that of the student,
/// so it is never imitated. The loss of a student with a larger error than the teacher has both
/// parts; the loss of a student that is better by the `margin` has the first part only. If the box
/// of the teacher contains NaN or ±∞, the bounded part is zero. The squared norm is over the four
/// coordinates together, and the mean is over the proposals given, which should be the matched
/// ones. The teacher and the target are constants: no gradient flows to them. Half precision is
/// widened to single.
///
/// A [`BoundedRegressionObjective`](crate::BoundedRegressionObjective) turns it into a weighted
/// term and selects the matched proposals of a detector.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::BoundedRegressionLossConfig;
///
/// let device = Device::default();
/// let target = Tensor::<2>::zeros([2, 4], &device);
/// let teacher = Tensor::from_data([[0.1, 0.0, 0.0, 0.0], [0.9, 0.0, 0.0, 0.0]], &device);
/// let student = Tensor::from_data([[0.4, 0.0, 0.0, 0.0], [0.4, 0.0, 0.0, 0.0]], &device);
///
/// let criterion = BoundedRegressionLossConfig::new().init();
/// let loss = criterion.forward(student, teacher, target, Reduction::Sum);
///
/// // Both have a smooth L1 loss of 0.4² / 2; the first is worse than its teacher, which adds
/// // 0.4² / 2.
/// assert!((loss.into_scalar::<f32>() - 0.24).abs() < 1e-6);
/// ```
///
/// # Reference
///
/// G. Chen et al., Learning Efficient Object Detection Models with Knowledge Distillation, NIPS
/// 2017. The authors published no code. This is our interpretation of the paper: one annotation
/// bounds both networks, the mean is over the matched proposals, and the default weight is its
/// value as we understand it, not checked against an implementation.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BoundedRegressionLoss {
    /// Margin by which the squared error of the student must be smaller than that of the teacher.
    pub margin: f64,
    /// Weight of the bounded part.
    pub bounded_weight: f64,
}

one_line_display!(BoundedRegressionLoss: margin, bounded_weight);

impl BoundedRegressionLoss {
    /// Computes the loss of every proposal and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// proposals. If there are no proposals, the loss is zero, still connected to the autodiff
    /// graph.
    ///
    /// # Shapes
    ///
    /// - student, teacher, target: encoded boxes `[proposals, 4]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ or there are not four coordinates.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        target: Tensor<2>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let loss = self.forward_no_reduction(student, teacher, target);
        reduce_rows(loss, None, &reduction)
    }

    /// Computes the loss of every proposal, without reducing.
    ///
    /// # Shapes
    ///
    /// - student, teacher, target: encoded boxes `[proposals, 4]`
    /// - output: `[proposals]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ or there are not four coordinates.
    pub fn forward_no_reduction(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        target: Tensor<2>,
    ) -> Tensor<1> {
        let bounded = self.forward_bounded(student.clone(), teacher, target.clone());
        let student = at_least_f32(student);
        let target = at_least_f32(target.without_autodiff());
        let own = SmoothL1LossConfig::new().init().forward(student, target);
        own.sum_dim(1)
            .squeeze_dim::<1>(1)
            .add(bounded.mul_scalar(self.bounded_weight))
    }

    /// Computes the bounded part of every proposal, without its weight.
    ///
    /// # Shapes
    ///
    /// - student, teacher, target: encoded boxes `[proposals, 4]`
    /// - output: `[proposals]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ or there are not four coordinates.
    pub fn forward_bounded(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        target: Tensor<2>,
    ) -> Tensor<1> {
        let [proposals, _] = student.dims();
        assert_shape!(student, [_, 4]);
        assert_shape!(teacher, [proposals, 4]);
        assert_shape!(target, [proposals, 4]);

        let target = at_least_f32(target.without_autodiff());
        let error = |boxes: Tensor<2>| {
            let square = at_least_f32(boxes).sub(target.clone()).square();
            square.sum_dim(1).squeeze_dim::<1>(1)
        };
        let ours = error(student);
        let theirs = error(teacher.without_autodiff());
        // Not "smaller by the margin": a comparison with a NaN is false, and then there is no
        // bound.
        let worse = ours
            .clone()
            .without_autodiff()
            .add_scalar(self.margin)
            .greater(theirs);
        ours.mask_fill(worse.bool_not(), 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn criterion(margin: f64) -> BoundedRegressionLoss {
        BoundedRegressionLossConfig::new()
            .with_margin(margin)
            .init()
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [proposals, 4]): axis 0 expected 4, got 3")]
    fn numbers_of_proposals_must_match() {
        let device = Device::default();
        let boxes = |proposals| Tensor::zeros([proposals, 4], &device);
        criterion(0.0).forward(boxes(4), boxes(3), boxes(4), Reduction::Mean);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(student, [_, 4]): axis 1 expected 4, got 5")]
    fn boxes_have_four_coordinates() {
        let boxes = Tensor::zeros([3, 5], &Device::default());
        criterion(0.0).forward_bounded(boxes.clone(), boxes.clone(), boxes);
    }

    #[test]
    #[should_panic(expected = "`margin` should be finite and not negative")]
    fn margin_must_not_be_negative() {
        criterion(-0.1);
    }

    #[test]
    fn config_survives_json() {
        let config = BoundedRegressionLossConfig::new().with_margin(1.0);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"margin":1.0,"bounded_weight":0.5}"#);

        let config = BoundedRegressionLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.margin, 1.0);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", criterion(0.0)),
            "BoundedRegressionLoss {margin: 0, bounded_weight: 0.5}"
        );
    }
}
