use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_norm};
use burn_distill_core::{Check, NamedLoss, Tap, TapLoss, one_line_display};

/// Distance between the features of an exit and those of the deepest exit, in an [exit feature
/// loss](ExitFeatureLoss).
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum ExitDistance {
    /// Squared differences where at least one of the two is positive, summed over the batch.
    ActiveSquares,
    /// L2 norm of all differences of the batch, not squared.
    Norm,
}

/// Configuration to create an [exit feature loss](ExitFeatureLoss) using the
/// [init function](ExitFeatureLossConfig::init).
#[derive(Config, Debug)]
pub struct ExitFeatureLossConfig {
    /// Distance between features. Default: `ActiveSquares`, as in the paper; the authors' later
    /// code uses `Norm`, after a linear adapter.
    #[config(default = "ExitDistance::ActiveSquares")]
    pub distance: ExitDistance,
}

impl ExitFeatureLossConfig {
    /// Creates an [exit feature loss](ExitFeatureLoss).
    pub fn init(&self) -> ExitFeatureLoss {
        ExitFeatureLoss {
            distance: self.distance,
        }
    }
}

impl Check for ExitFeatureLossConfig {}

/// Be your own teacher (BYOT), feature term: matches the features of a shallow exit to those of the
/// deepest exit of the same network.
///
/// ```text
/// d = student − teacher
/// ActiveSquares:  L = Σ d² [student > 0 or teacher > 0]      over samples and features
/// Norm:           L = √(Σ d²)                                over samples and features
/// ```
///
/// Neither is a mean: with twice the batch size or twice the number of features, `ActiveSquares`
/// doubles and `Norm` grows by √2. For equal features, the norm and its gradient are zero. The
/// teacher, the deepest exit, is a constant: no gradient flows to it. Half precision is widened to
/// single.
///
/// # Weights
///
/// The authors use `1e-6` for `ActiveSquares` and `0.03` for `Norm`, with at least 512 features and
/// batches of 128 samples.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::ExitFeatureLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, -1.0]], &device);
/// let teacher = Tensor::<2>::from_data([[-2.0, -3.0]], &device);
///
/// let loss = ExitFeatureLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 9.0); // both inactive in the second feature
/// ```
///
/// # Reference
///
/// L. Zhang, J. Song, A. Gao, J. Chen, C. Bao and K. Ma, [Be Your Own
/// Teacher](https://arxiv.org/abs/1905.08094), ICCV 2019. `ActiveSquares` agrees with
/// `feature_loss_function` of pytorch-be-your-own-teacher, `Norm` with the feature distillation of
/// the authors' pytorch-self-distillation-final, whose gradient at equal features is that of
/// `torch.dist`.
#[doc(alias = "BYOT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ExitFeatureLoss {
    /// Distance between features.
    #[module(skip)]
    pub distance: ExitDistance,
}

one_line_display!(ExitFeatureLoss: ?distance);

impl ExitFeatureLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, features] = student.dims();
        assert_shape!(teacher, [batch_size, features]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let student = at_least_f32(student);
        let teacher = at_least_f32(teacher.without_autodiff());
        let difference = student.clone().sub(teacher.clone());
        match self.distance {
            ExitDistance::ActiveSquares => {
                let active = (student.greater_scalar(0.0)).bool_or(teacher.greater_scalar(0.0));
                let squares = difference.square();
                squares.mask_fill(active.bool_not(), 0.0).sum()
            }
            ExitDistance::Norm => l2_norm(difference.flatten::<1>(0, 1), 0),
        }
    }
}

impl NamedLoss for ExitFeatureLoss {
    fn name(&self) -> &'static str {
        "exit-feature"
    }
}

impl TapLoss for ExitFeatureLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    type FT = f32;

    const STUDENT: [[f32; 2]; 4] = [[0.7, -0.3], [-0.3, 0.7], [0.7, 0.7], [1.7, 0.2]];
    const TEACHER: [[f32; 2]; 4] = [[0.4, 1.4], [-0.6, 0.4], [0.4, -0.6], [1.4, 0.4]];

    fn value_and_gradient(
        distance: ExitDistance,
        student: [[f32; 2]; 4],
        teacher: [[f32; 2]; 4],
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let student = Tensor::<2>::from_data(student, &device).require_grad();
        let teacher = Tensor::from_data(teacher, &device);
        let config = ExitFeatureLossConfig::new().with_distance(distance);
        let loss = config.init().forward(student.clone(), teacher);
        let grads = loss.clone().backward();
        let gradient = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar::<f64>(), gradient)
    }

    #[test]
    fn squares_agree_with_the_reference_implementation() {
        // `feature_loss_function` of pytorch-be-your-own-teacher.
        let (value, gradient) = value_and_gradient(ExitDistance::ActiveSquares, STUDENT, TEACHER);

        assert!((value - 4.98).abs() < 1e-5, "{value}");
        // Twice the difference, except where both are below zero.
        let expected = TensorData::from([[0.6, -3.4], [0.0, 0.6], [0.6, 2.6], [0.6, -0.4]]);
        gradient.assert_approx_eq::<FT>(&expected, Tolerance::default());
    }

    #[test]
    fn the_norm_is_of_the_whole_batch_and_not_squared() {
        let (value, gradient) = value_and_gradient(ExitDistance::Norm, STUDENT, TEACHER);

        // √5.07: the squares above and 0.3² for those below zero.
        assert!((value - 2.251666).abs() < 1e-6, "{value}");
        let difference = [[0.3, -1.7], [0.3, 0.3], [0.3, 1.3], [0.3, -0.2]];
        let unit = difference.map(|row| row.map(|d| d / 2.251_666_f32));
        gradient.assert_approx_eq::<FT>(&TensorData::from(unit), Tolerance::default());
    }

    #[test]
    fn equal_features_have_neither_value_nor_gradient() {
        for distance in [ExitDistance::ActiveSquares, ExitDistance::Norm] {
            let (value, gradient) = value_and_gradient(distance, TEACHER, TEACHER);

            assert_eq!(value, 0.0);
            gradient.assert_eq(&TensorData::from([[0.0_f32; 2]; 4]), false);
        }
    }

    #[test]
    fn display() {
        assert_eq!(
            ExitFeatureLossConfig::new().init().to_string(),
            "ExitFeatureLoss {distance: ActiveSquares}"
        );
    }
}
