use super::{GeneratorContext, GeneratorObjective};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{at_least_f32, tempered_log_softmax};
use burn_distill_core::{Check, ConfigError, Requirements, TapSelection, Terms, check};
use std::f64::consts::LN_10;

/// Configuration to create a [`TeacherLikeObjective`] using the [init
/// function](TeacherLikeObjectiveConfig::init).
#[derive(Config, Debug)]
pub struct TeacherLikeObjectiveConfig {
    /// Weight of the cross-entropy of the teacher with the class that it predicts. Default: `0.5`,
    /// as on CIFAR; the authors have 1 on MNIST.
    #[config(default = 0.5)]
    pub one_hot: f64,
    /// Weight of the entropy of the mean prediction, in decimal digits. Default: `20.0`, as on
    /// CIFAR; the authors have 5 on MNIST.
    #[config(default = 20.0)]
    pub information_entropy: f64,
    /// Weight of the mean absolute feature. Default: `0.1`, as in the authors' code.
    #[config(default = 0.1)]
    pub activation: f64,
    /// Tap of the teacher with the features in front of its classifier. Default: `pool`.
    #[config(default = "String::from(\"pool\")")]
    pub tap: String,
}

impl TeacherLikeObjectiveConfig {
    /// Creates a [`TeacherLikeObjective`].
    ///
    /// # Panics
    ///
    /// Panics if a weight is negative or not finite.
    pub fn init(&self) -> TeacherLikeObjective {
        self.assert_valid();
        TeacherLikeObjective {
            one_hot: self.one_hot,
            information_entropy: self.information_entropy,
            activation: self.activation,
            tap: self.tap.clone(),
        }
    }
}

impl Check for TeacherLikeObjectiveConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::not_negative("one_hot", self.one_hot)?;
        check::not_negative("information_entropy", self.information_entropy)?;
        check::not_negative("activation", self.activation)
    }
}

/// The objective of the generator in data-free learning (DAFL): it looks for images that the
/// teacher treats as its training data.
///
/// ```text
/// p                    = softmax(teacher)
/// one-hot              = mean over images of −log p[argmax p]            certain predictions
/// information-entropy  = Σ over classes of p̄ log₁₀ p̄,  p̄ = mean over images of p    all classes
/// activation           = −mean over images and features of |feature|     active features
/// L = weighted sum of the three
/// ```
///
/// The predicted class is a constant. Where a mean probability is zero, so is its summand. Half
/// precision is widened to single.
///
/// # Reference
///
/// H. Chen et al., [Data-Free Learning of Student Networks](https://arxiv.org/abs/1904.01186), ICCV
/// 2019. Agrees with the authors' `DAFL-train.py`, with its decimal logarithm, which makes the
/// entropy 2.3 times weaker than in other implementations.
#[doc(alias = "DAFL")]
#[derive(Module, Debug)]
pub struct TeacherLikeObjective {
    /// Weight of the cross-entropy with the predicted class.
    pub one_hot: f64,
    /// Weight of the entropy of the mean prediction.
    pub information_entropy: f64,
    /// Weight of the mean absolute feature.
    pub activation: f64,
    /// Tap of the teacher with the features.
    pub tap: String,
}

impl TeacherLikeObjective {
    /// Names of the terms.
    pub const TERMS: [&'static str; 3] = ["one-hot", "information-entropy", "activation"];
}

impl GeneratorObjective for TeacherLikeObjective {
    fn requirements(&self) -> Requirements {
        Requirements {
            teacher: TapSelection::named([self.tap.as_str()]),
            ..Requirements::responses()
        }
    }

    fn uses_student(&self) -> bool {
        false
    }

    fn forward(&self, context: &GeneratorContext<'_>) -> Terms {
        let log_p = tempered_log_softmax(context.teacher.response.rows().logits, 1.0);
        let features = context.teacher.taps.expect(&self.tap).into_vectors();
        let activation = at_least_f32(features).abs().mean().neg();
        let entropy = negative_entropy(log_p.clone().exp().mean_dim(0));
        let values = [one_hot(log_p), entropy, activation];
        let weights = [self.one_hot, self.information_entropy, self.activation];
        let each = Self::TERMS.into_iter().zip(values).zip(weights);
        each.map(|((name, value), weight)| Terms::one(name, value, weight))
            .fold(Terms::default(), Terms::and)
    }
}

/// Computes the mean of the negative logarithms of the largest probabilities. Shape:
/// `[batch_size, num_classes]`.
fn one_hot(log_p: Tensor<2>) -> Tensor<1> {
    // The argument of the maximum has no gradient.
    let predicted = log_p.clone().argmax(1);
    log_p.gather(1, predicted).mean().neg()
}

/// Computes the negative entropy of a distribution in decimal digits. Shape: `[1, num_classes]`.
fn negative_entropy(mean: Tensor<2>) -> Tensor<1> {
    // 0 · log 0 = 0, also in the backward pass.
    let zero = mean.clone().equal_scalar(0.0);
    let logarithm = mean.clone().mask_fill(zero, 1.0).log();
    mean.mul(logarithm).sum().mul_scalar(1.0 / LN_10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device};
    use burn_distill_core::Knowledge;

    #[derive(Debug)]
    struct Found {
        values: Vec<f64>,
        loss: f64,
        logits: Vec<f64>,
        features: Vec<f64>,
    }

    /// Computes the objective on the inputs of `docs/reference/data_free.py`.
    fn found(logits: Tensor<2>, features: Tensor<2>) -> Found {
        let (logits, features) = (logits.require_grad(), features.require_grad());
        let teacher = Knowledge::from_logits(logits.clone())
            .with_taps([("pool", burn_distill_core::Tap::Vector(features.clone()))]);
        let images = Tensor::<4>::zeros([1, 1, 1, 1], &logits.device());
        let terms = TeacherLikeObjectiveConfig::new()
            .init()
            .forward(&GeneratorContext::new(&images, &teacher));
        let values = terms.iter().map(|term| term.value.clone().into_scalar());
        let values = values.collect();
        let loss = terms.total();
        let grads = loss.backward();
        let gradient = |x: &Tensor<2>| x.grad(&grads).unwrap().into_data().iter().collect();
        Found {
            values,
            loss: loss.into_scalar(),
            logits: gradient(&logits),
            features: gradient(&features),
        }
    }

    fn waves(shape: [usize; 2], scale: f64, step: f64, device: &Device) -> Tensor<2> {
        let count = shape[0] * shape[1];
        let values: Vec<f64> = (0..count)
            .map(|i| scale * (step * i as f64 + 0.3).sin())
            .collect();
        Tensor::<1>::from_data(values.as_slice(), (device, DType::F64)).reshape(shape)
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn value_and_gradient_are_those_of_the_formula() {
        let device = Device::flex().autodiff();
        let found = found(
            waves([3, 4], 3.0, 0.7, &device),
            waves([3, 2], 2.0, 1.1, &device),
        );

        assert_close(
            &found.values,
            &[0.526523625373569, -0.591456528000134, -1.26216265367549],
        );
        assert_close(&[found.loss], &[-11.6920850126834]);
        #[rustfmt::skip]
        let logits = [
            0.0416457201813715, -0.290334378167214, 0.171176496935964, 0.0775121610498785,
            0.131458162374449, -0.149620774616539, 0.0141504842761929, 0.0040121279658968,
            0.00417336933239576, -0.0906018157584775, 0.165602366462202, -0.0791739200361203,
        ];
        assert_close(&found.logits, &logits);
        let sixtieth = 0.1 / 6.0;
        let features = [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0].map(|sign| sign * sixtieth);
        assert_close(&found.features, &features);
    }

    #[test]
    fn classes_without_any_probability_have_finite_gradients() {
        let device = Device::flex().autodiff();
        for logits in [[[1e4, -1e4, 0.0], [2e4, 0.0, 1.0]], [[0.0; 3]; 2]] {
            let logits = Tensor::<2>::from_data(logits, (&device, DType::F32));
            let features = Tensor::<2>::zeros([2, 2], (&device, DType::F32));

            let found = found(logits, features);

            let all = [
                &found.logits[..],
                &found.features,
                &found.values,
                &[found.loss],
            ]
            .concat();
            assert!(all.iter().all(|value| value.is_finite()), "{found:?}");
        }
    }

    #[test]
    fn the_value_is_least_for_certain_predictions_of_all_classes() {
        let device = Device::flex().autodiff();
        let value = |logits: [[f64; 2]; 2]| {
            let logits = Tensor::<2>::from_data(logits, (&device, DType::F64));
            found(logits, Tensor::zeros([2, 2], (&device, DType::F64)))
        };

        let ideal = value([[50.0, 0.0], [0.0, 50.0]]);
        let one_class = value([[50.0, 0.0], [50.0, 0.0]]);
        let undecided = value([[0.0, 0.0], [0.0, 0.0]]);

        assert!((ideal.loss + 20.0 * 2.0_f64.log10()).abs() < 1e-9);
        assert!(one_class.loss.abs() < 1e-9);
        let expected = 0.5 * 2.0_f64.ln() - 20.0 * 2.0_f64.log10();
        assert!((undecided.loss - expected).abs() < 1e-9);
    }
}
