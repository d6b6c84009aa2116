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
    /// By how much the squared error of the student must be smaller than that of the teacher.
    /// Not negative. Default: `0.0`.
    #[config(default = 0.0)]
    pub margin: f64,
    /// What the bounded part is multiplied by. Not negative. Default: `0.5`.
    #[config(default = 0.5)]
    pub bounded_weight: f64,
}

impl BoundedRegressionLossConfig {
    /// Initialize a [bounded regression loss](BoundedRegressionLoss).
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

/// Bounded regression loss: the teacher's boxes are no targets, only what the student should beat.
///
/// For every matched proposal, with the encoded box of the annotation as `target`,
///
/// ```text
/// e_s = ‖student − target‖²,    e_t = ‖teacher − target‖²
/// bounded = e_s where e_s + margin > e_t, else 0
/// L = Σ smooth_l1(student − target) + bounded_weight · bounded
/// ```
///
/// A teacher's regression may point anywhere, even away from the truth, so it is never followed: a
/// student that is worse pays twice, one that is better by the `margin` only for its own error.
/// Where the teacher says NaN or ±∞ it is no bound. The squared norm is over the four coordinates
/// together, and the mean is over the proposals given, which should be the matched ones. The
/// teacher and the target are constants: no gradient flows to them. Half precision is widened to
/// single.
///
/// Its objective is a [`BoundedRegressionObjective`](crate::BoundedRegressionObjective), which takes
/// the matched ones of a detector's proposals.
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
/// // Both pay 0.4² / 2; the first is worse than its teacher and pays half of 0.4² on top.
/// assert!((loss.into_scalar::<f32>() - 0.24).abs() < 1e-6);
/// ```
///
/// # Reference
///
/// G. Chen et al., Learning Efficient Object Detection Models with Knowledge Distillation, NIPS
/// 2017. The authors published no code, so this is our interpretation of the paper: one annotation
/// bounds both networks, the mean is over the matched proposals, and the default weight
/// is its value as we understand it, not checked against an implementation.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BoundedRegressionLoss {
    /// By how much the squared error of the student must be smaller than that of the teacher.
    pub margin: f64,
    /// What the bounded part is multiplied by.
    pub bounded_weight: f64,
}

one_line_display!(BoundedRegressionLoss: margin, bounded_weight);

impl BoundedRegressionLoss {
    /// Compute the loss of every proposal, then reduce to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// proposals; of none, it is a zero that is still connected to the graph.
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

    /// Compute the loss of every proposal, without reducing.
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

    /// Compute the bounded part of every proposal, without its weight.
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
    use burn::tensor::{DType, Device, TensorData, Tolerance};

    type FT = f32;

    fn series(value: impl Fn(f64) -> f64, device: &Device) -> Tensor<2> {
        let values: Vec<f64> = (0..16).map(|n| value(n as f64)).collect();
        Tensor::from_data(TensorData::new(values, [4, 4]), device)
    }

    fn student(device: &Device) -> Tensor<2> {
        series(|n| (0.7 * n + 0.3).sin(), device)
    }

    fn teacher(device: &Device) -> Tensor<2> {
        series(|n| (1.1 * n + 0.1).cos(), device)
    }

    fn target(device: &Device) -> Tensor<2> {
        series(|n| (0.5 * n + 0.9).sin(), device)
    }

    fn criterion(margin: f64) -> BoundedRegressionLoss {
        BoundedRegressionLossConfig::new()
            .with_margin(margin)
            .init()
    }

    /// The mean of a loss and the gradient of the student.
    fn mean_and_gradient(
        loss: impl Fn(Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<1>,
        boxes: [Tensor<2>; 3],
    ) -> (f64, TensorData) {
        let [student, teacher, target] = boxes.map(Tensor::require_grad);
        let mean = reduce_rows(
            loss(student.clone(), teacher.clone(), target.clone()),
            None,
            &Reduction::Mean,
        );
        let grads = mean.clone().backward();
        assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
        assert!(target.grad(&grads).is_none(), "the target has a gradient");
        let gradient = student.grad(&grads).unwrap().into_data();
        (mean.into_scalar::<f64>(), gradient)
    }

    fn all(device: &Device) -> [Tensor<2>; 3] {
        [student(device), teacher(device), target(device)]
    }

    fn assert_value_and_norm(actual: (f64, TensorData), value: f64, norm: f64) {
        let square: f64 = actual.1.iter::<f64>().map(|value| value * value).sum();
        assert!((actual.0 / value - 1.0).abs() < 3e-6, "{}", actual.0);
        assert!(
            (square.sqrt() / norm - 1.0).abs() < 3e-6,
            "{}",
            square.sqrt()
        );
    }

    // Expected values: scripts/labeled.py. There is no reference implementation.

    #[test]
    fn the_bounded_part_matches_the_written_out_formula() {
        let device = Device::default().autodiff();
        for (margin, value, norm) in [
            (0.0, 0.951705627, 0.97555401),
            (1.0, 2.64608256, 1.62667838),
        ] {
            let criterion = criterion(margin);
            let actual = mean_and_gradient(
                |student, teacher, target| criterion.forward_bounded(student, teacher, target),
                all(&device),
            );
            assert_value_and_norm(actual, value, norm);
        }
    }

    #[test]
    fn half_of_it_is_added_to_the_smooth_l1_loss() {
        let device = Device::default().autodiff();
        for (bounded_weight, value, norm) in
            [(0.0, 1.24434767, 0.633366444), (0.5, 1.72020049, 1.0340101)]
        {
            let criterion = BoundedRegressionLossConfig::new()
                .with_bounded_weight(bounded_weight)
                .init();
            let actual = mean_and_gradient(
                |student, teacher, target| criterion.forward_no_reduction(student, teacher, target),
                all(&device),
            );
            assert_value_and_norm(actual, value, norm);
        }
    }

    #[test]
    fn every_reduction_is_known() {
        let device = Device::default();
        let loss = |reduction| {
            let [student, teacher, target] = all(&device);
            criterion(0.0)
                .forward(student, teacher, target, reduction)
                .into_scalar::<f32>()
        };

        for reduction in [Reduction::Mean, Reduction::BatchMean, Reduction::Auto] {
            assert!((loss(reduction) - 1.7202).abs() < 1e-5);
        }
        assert!((loss(Reduction::Sum) - 6.880802).abs() < 2e-5);
    }

    #[test]
    fn a_student_that_beats_the_teacher_by_the_margin_is_left_alone() {
        let device = Device::default();
        let boxes = |x: f32| Tensor::<2>::from_data([[x, 0.0, 0.0, 0.0]], &device);
        let bounded = |student, teacher, margin| {
            criterion(margin)
                .forward_bounded(boxes(student), boxes(teacher), boxes(0.0))
                .into_scalar::<f32>()
        };

        assert_eq!(bounded(1.0, 2.0, 0.0), 0.0); // 1 ≤ 4
        assert_eq!(bounded(1.0, 2.0, 3.0), 0.0); // 1 + 3 ≤ 4
        assert_eq!(bounded(1.0, 2.0, 3.5), 1.0);
        assert_eq!(bounded(2.0, 1.0, 0.0), 4.0);
        assert_eq!(bounded(1.0, 1.0, 0.0), 0.0); // as good is good enough
    }

    #[test]
    fn the_bound_is_on_the_whole_box() {
        let device = Device::default();
        let student = Tensor::<2>::from_data([[2.0, 0.0, 0.0, 0.0]], &device);
        let teacher = Tensor::<2>::from_data([[1.5, 1.5, 0.0, 0.0]], &device);
        let target = Tensor::zeros([1, 4], &device);

        // 4 against 4.5, although the first coordinate is worse.
        let bounded = criterion(0.0).forward_bounded(student, teacher, target);
        assert_eq!(bounded.into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn a_teacher_without_a_box_is_no_bound() {
        let device = Device::default().autodiff();
        for anything in [f32::NAN, f32::INFINITY] {
            let boxes = [
                student(&device),
                Tensor::full([4, 4], anything, &device),
                target(&device),
            ];
            let criterion = criterion(0.0);
            let actual = mean_and_gradient(
                |student, teacher, target| criterion.forward_no_reduction(student, teacher, target),
                boxes,
            );
            assert_value_and_norm(actual, 1.24434767, 0.633366444);
        }
    }

    #[test]
    fn extreme_boxes_keep_values_and_gradients_finite() {
        let device = Device::default().autodiff();
        let full = |value: f64| Tensor::<2>::full([1, 4], value, &device);
        for (ours, theirs, truth) in [
            (0.0, 0.0, 0.0),
            (1e4, 1e4, 1e4),
            (1e4, -1e4, 0.0),
            (-1e4, 0.0, 1e4),
        ] {
            let criterion = criterion(1.0);
            let (value, gradient) = mean_and_gradient(
                |student, teacher, target| criterion.forward_no_reduction(student, teacher, target),
                [full(ours), full(theirs), full(truth)],
            );

            assert!(value.is_finite(), "{value}");
            assert!(gradient.iter::<f32>().all(f32::is_finite), "{gradient}");
        }
    }

    #[test]
    fn without_a_proposal_it_is_a_connected_zero() {
        let device = Device::default().autodiff();
        let criterion = criterion(0.0);
        let (value, gradient) = mean_and_gradient(
            |student, teacher, target| criterion.forward_no_reduction(student, teacher, target),
            [(); 3].map(|_| Tensor::zeros([0, 4], &device)),
        );

        assert_eq!(value, 0.0);
        assert_eq!(gradient.num_elements(), 0);
    }

    #[test]
    fn half_precision_is_widened() {
        let device = Device::default();
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            // Its square would overflow.
            let full = |value: f64| Tensor::<2>::full([1, 4], value, (&device, dtype));
            let bounded = criterion(0.0).forward_bounded(full(1024.0), full(0.0), full(0.0));

            assert_eq!(bounded.dtype(), DType::F32);
            bounded.into_data().assert_approx_eq::<FT>(
                &TensorData::from([4.0 * 1024.0 * 1024.0]),
                Tolerance::default(),
            );
        }
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [proposals, 4]): axis 0 expected 4, got 3")]
    fn numbers_of_proposals_must_match() {
        let device = Device::default();
        let teacher = Tensor::zeros([3, 4], &device);
        criterion(0.0).forward(student(&device), teacher, target(&device), Reduction::Mean);
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
