use super::projection::resized;
use super::term::TeacherMaps;
use super::{MapProjection, TeacherMapsLoss, TeacherMapsTerm};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::numeric::{as_precise_as, connected_zero, smallest_combination};
use burn_distill_core::{
    CatalogEntry, ChangingWeight, Check, ConfigError, Input, LossEntry, NamedLoss, Targets,
    assert_teacher_count, check, check_several,
};

/// Smallest norm of a gradient, as a part of the largest one.
const SMALLEST_NORM: f64 = 1e-12;

/// Configuration to create an [adaptive feature loss](AdaptiveFeatureLoss) using the [init
/// function](AdaptiveFeatureLossConfig::init).
#[derive(Config, Debug)]
pub struct AdaptiveFeatureLossConfig {
    /// Largest weight of a normalized gradient, the tolerance of disagreement. Above 0 and at most
    /// 1; less than `1 / teachers` is raised to it. Default: `0.6`.
    #[config(default = 0.6)]
    pub tolerance: f64,
}

impl AdaptiveFeatureLossConfig {
    /// Creates an [adaptive feature loss](AdaptiveFeatureLoss) for a student's map with `channels`
    /// channels and the numbers of channels of the maps of its teachers.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two teachers, or if a value is out of its range.
    pub fn init(
        &self,
        channels: usize,
        teachers: &[usize],
        device: &Device,
    ) -> AdaptiveFeatureLoss {
        self.assert_valid();
        check::at_least("teachers", teachers.len(), 2).unwrap_or_else(|error| panic!("{error}"));
        let projections = teachers.iter();
        let projections =
            projections.map(|&teacher| MapProjection::new([channels, teacher], device));
        AdaptiveFeatureLoss {
            projections: projections.collect(),
            tolerance: self.tolerance,
        }
    }
}

impl Check for AdaptiveFeatureLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::ensure(
            self.tolerance > 0.0 && self.tolerance <= 1.0, // This also rejects NaN
            "tolerance",
            "above 0 and at most 1",
            self.tolerance,
        )
    }
}

/// Adaptive ensemble distillation (AEKD), on features: the map of the student, projected for each
/// teacher, should equal the map of that teacher, weighted such that the gradients conflict least.
///
/// With `M` teachers and `C` the `tolerance`,
///
/// ```text
/// uₘ = relu(normₘ(conv1×1ₘ(student)))
/// Lₘ = mean over samples and elements of (uₘ − resize(teacherₘ))²
/// gₘ = mean over samples of the gradient of Lₘ by the student's map
/// α  = argmin ‖Σₘ αₘ gₘ / ‖gₘ‖‖²  over  Σₘ αₘ = 1, 0 ≤ αₘ ≤ C
/// wₘ = (αₘ / ‖gₘ‖) / Σₖ (αₖ / ‖gₖ‖)
/// L  = Σₘ wₘ Lₘ
/// ```
///
/// Unlike those of the loss on logits, `AdaptiveEnsembleLoss`, the gradients are normalized,
/// because losses on maps of different networks have different sizes. They are computed in closed
/// form, through ReLU, normalization and convolution, without a backward pass. The weights are
/// constants, computed for every batch on the device, to about three digits. If a gradient is zero,
/// because the student agrees with that teacher, that teacher has all of the weight. The map of
/// each teacher is resized to the size of the student's: pooled if it is larger, or else
/// interpolated bilinearly.
///
/// The projections are trained with the student. No gradient flows to the teachers. Half precision
/// is widened to single.
///
/// # Weights
///
/// In the authors' code the term is left out in the first epoch. Its weight is an argument of their
/// script; 100 is that of RepDistiller for hints.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::AdaptiveFeatureLossConfig;
///
/// let device = Device::default();
/// // Two teachers of 6 and 5 channels.
/// let loss = AdaptiveFeatureLossConfig::new().init(4, &[6, 5], &device);
///
/// let student = Tensor::<4>::ones([2, 4, 4, 4], &device);
/// let teachers = [6, 5].map(|channels| Tensor::<4>::zeros([2, channels, 2, 2], &device));
/// assert_eq!(loss.forward(student, teachers.to_vec()).dims(), [1]);
/// ```
///
/// # Reference
///
/// S. Du, S. You, X. Li, J. Wu, F. Wang, C. Qian and C. Zhang, [Agree to Disagree: Adaptive
/// Ensemble Knowledge Distillation in Gradient
/// Space](https://proceedings.neurips.cc/paper/2020/hash/91c77393975889bd08f301c9e13a44b7-Abstract.html),
/// NeurIPS 2020. The formula is that of `hint` with `AEKD` in the authors' code, whose regressor
/// resizes the student's map by its stride instead.
#[doc(alias = "AEKD")]
#[derive(Module, Debug)]
pub struct AdaptiveFeatureLoss {
    /// Projection of the student's map for each teacher.
    pub projections: Vec<MapProjection>,
    /// Largest weight of a normalized gradient.
    pub tolerance: f64,
}

impl AdaptiveFeatureLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - each teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one.
    pub fn forward(&self, student: Tensor<4>, teachers: Vec<Tensor<4>>) -> Tensor<1> {
        assert_teacher_count(self.projections.len(), teachers.len());
        let [batch_size, ..] = student.dims();
        if batch_size == 0 {
            return connected_zero(student);
        }
        let differences = self.differences(&student, teachers);
        let weights = self.weights_of(&student, &differences);
        let losses = differences.into_iter();
        let losses = losses.map(|difference| difference.square().mean().unsqueeze_dim::<2>(1));
        let losses = Tensor::cat(losses.collect(), 1);
        losses.clone().mul(weights.cast(losses.dtype())).sum()
    }

    /// Returns the weights of the teachers for a batch, as constants.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - each teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1, teachers]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one.
    pub fn weights(&self, student: Tensor<4>, teachers: Vec<Tensor<4>>) -> Tensor<2> {
        assert_teacher_count(self.projections.len(), teachers.len());
        let differences = self.differences(&student, teachers);
        self.weights_of(&student, &differences)
    }

    /// Returns the projected maps minus those of the teachers.
    fn differences(&self, student: &Tensor<4>, teachers: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let [batch_size, _, height, width] = student.dims();
        let projections = self.projections.iter().zip(teachers);
        let differences = projections.map(|(projection, teacher)| {
            let projected = projection.forward(student.clone());
            let [_, channels, ..] = projected.dims();
            assert_shape!(teacher, [batch_size, channels, _, _]);
            let teacher = as_precise_as(teacher.without_autodiff(), &projected);
            projected.sub(resized(teacher, [height, width]))
        });
        differences.collect()
    }

    fn weights_of(&self, student: &Tensor<4>, differences: &[Tensor<4>]) -> Tensor<2> {
        let count = differences.len();
        let gradients = self.projections.iter().zip(differences);
        let gradients = gradients.map(|(projection, difference)| {
            let [_, channels, ..] = difference.dims();
            // Up to a factor that all teachers have in common, which changes no weight.
            let gradient = difference.clone().without_autodiff();
            let gradient = gradient.div_scalar(channels as f64);
            let mean = projection.mean_gradient(student.clone(), gradient);
            mean.reshape([1, -1])
        });
        let gradients: Tensor<2> = Tensor::cat(gradients.collect(), 0);
        let largest = gradients.clone().abs().max_dim(1).max_dim(0);
        let zero = largest.clone().equal_scalar(0.0);
        // Relative to the largest element, so that squares neither overflow nor underflow.
        let gradients = gradients.div(largest.mask_fill(zero, 1.0));
        let norms = gradients.clone().square().sum_dim(1).sqrt();
        let norms = norms.clamp_min(SMALLEST_NORM);

        let normalized = gradients.div(norms.clone());
        let gram = normalized.clone().matmul(normalized.transpose());
        let cap = self.tolerance.max(1.0 / count as f64);
        let weights = smallest_combination(gram, cap).div(norms.transpose());
        let sum = weights.clone().sum_dim(1);
        weights.div(sum)
    }
}

impl NamedLoss for AdaptiveFeatureLoss {
    fn name(&self) -> &'static str {
        "adaptive-feature"
    }
}

impl TeacherMapsLoss for AdaptiveFeatureLoss {
    fn forward_maps(&self, student: Tensor<4>, teachers: Vec<Tensor<4>>, _: &Targets) -> Tensor<1> {
        self.forward(student, teachers)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "adaptive-feature",
        abbreviation: "AEKD",
        about: "matches the maps of several teachers such that their gradients conflict least",
        kind: "feature",
        aliases: &["aekd-feature"],
        reference: "Du, You, Li, Wu, Wang, Qian and Zhang, Agree to Disagree: Adaptive Ensemble \
            Knowledge Distillation in Gradient Space, NeurIPS 2020",
    };
    let weight = ChangingWeight::Delayed {
        to: 100.0,
        epochs: 1,
    };
    LossEntry::new(catalog, weight, |mut builder| {
        let taps = TeacherMaps::take(&mut builder)?;
        let config = builder.configure(AdaptiveFeatureLossConfig::new())?;
        check_several(builder.contexts().len())?;
        let [_, channels, ..] = taps.student_map.dims();
        let teachers: Vec<_> = taps.teacher_maps.iter().map(|map| map.dims()[1]).collect();
        let loss = config.init(channels, &teachers, &builder.context().device);
        builder.joint_term(TeacherMapsTerm::new(loss, taps.student, taps.teachers))
    })
    .for_all_teachers()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    fn random(shape: [usize; 4], device: &Device) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.3, 1.0), device)
    }

    #[test]
    fn the_closed_form_is_the_gradient_of_a_backward_pass() {
        let device = Device::default().autodiff();
        device.seed(3);
        let student = random([3, 2, 2, 3], &device).require_grad();
        let teacher = random([3, 4, 2, 3], &device);
        let projection = MapProjection::new([2, 4], &device);
        for projection in [projection.clone(), projection.freeze()] {
            let difference = projection.forward(student.clone()).sub(teacher.clone());
            let by_output = difference.clone().mul_scalar(2.0);
            let grads = difference.square().sum().backward();
            let expected = student.grad(&grads).unwrap().mean_dim(0);
            let expected: Tensor<2> = expected.squeeze_dim::<3>(0).flatten(1, 2);

            let found = projection.mean_gradient(student.clone(), by_output);

            assert!(!found.is_autodiff());
            found
                .into_data()
                .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::rel_abs(1e-4, 1e-5));
        }
    }

    #[test]
    fn a_teacher_that_is_matched_has_all_of_the_weight() {
        let device = Device::default();
        device.seed(4);
        let student = random([2, 2, 2, 2], &device);
        let loss = AdaptiveFeatureLossConfig::new().init(2, &[3, 4], &device);
        let matched = loss.projections[0].forward(student.clone());
        let teachers = vec![matched, random([2, 4, 2, 2], &device)];

        let weights = loss.weights(student.clone(), teachers.clone());

        let weights: Vec<f32> = weights.into_data().iter().collect();
        assert!(weights[0] > 0.999 && weights[1] < 1e-3, "{weights:?}");
        let value = loss.forward(student, teachers).into_scalar::<f32>();
        assert!(value < 1e-3, "{value}");
    }

    #[test]
    fn students_that_match_all_teachers_share_equally() {
        let device = Device::default();
        let student = random([2, 2, 2, 2], &device);
        let loss = AdaptiveFeatureLossConfig::new().init(2, &[3, 3], &device);
        let teachers = loss.projections.iter();
        let teachers = teachers.map(|projection| projection.forward(student.clone()));

        let weights = loss.weights(student.clone(), teachers.collect());

        let weights: Vec<f32> = weights.into_data().iter().collect();
        assert!(weights.iter().all(|weight| (weight - 0.5).abs() < 1e-6));
    }

    #[test]
    #[should_panic(expected = "`tolerance` should be above 0 and at most 1, but is 0")]
    fn a_tolerance_of_zero_is_refused() {
        let config = AdaptiveFeatureLossConfig::new().with_tolerance(0.0);
        config.init(2, &[3, 4], &Device::default());
    }
}
