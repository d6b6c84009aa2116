use super::EmbeddingSet;
use crate::EvaluationError;
use burn::config::Config;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{Check, ConfigError, check};

/// Variance below which a feature is the same for all samples.
const CONSTANT: f64 = 1e-12;

/// Configuration to train a [linear probe](LinearProbe) by [`fit`](Self::fit).
#[derive(Config, Debug)]
pub struct LinearProbeConfig {
    /// Factor of half the squared weights, beside the sum of the cross-entropies of all samples.
    /// Above 0. Default: `1.0`, as in scikit-learn's logistic regression.
    #[config(default = 1.0)]
    pub penalty: f64,
    /// Number of steps over all samples. Default: `1000`.
    #[config(default = 1000)]
    pub steps: usize,
}

impl Check for LinearProbeConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("penalty", self.penalty)?;
        check::at_least("steps", self.steps, 1)
    }
}

impl LinearProbeConfig {
    /// Trains a linear probe on embeddings.
    ///
    /// It needs no random numbers: the loss is convex, and all samples are in each step. The
    /// features are standardized by their mean and deviation first. The steps are those of an
    /// accelerated gradient descent that begins at zero, with a step size below the inverse of the
    /// largest curvature, and that restarts where its momentum points uphill.
    ///
    /// # Panics
    ///
    /// Panics if there are no embeddings, or if the configuration is invalid.
    pub fn fit(&self, bank: &EmbeddingSet) -> LinearProbe {
        self.assert_valid();
        assert!(
            !bank.is_empty(),
            "A linear probe needs at least one labeled embedding, but there is none."
        );
        let [samples, features] = bank.vectors.dims();
        let num_classes = bank.num_classes();
        let mean = bank.vectors.clone().mean_dim(0);
        let centered = bank.vectors.clone().sub(mean.clone());
        let variance = centered.clone().square().mean_dim(0);
        let constant = variance.clone().lower_scalar(CONSTANT);
        let scale = variance
            .mask_fill(constant.clone(), 1.0)
            .sqrt()
            .recip()
            .mask_fill(constant, 0.0);
        // The last column is that of the bias, which has no penalty.
        let device = bank.vectors.device();
        let dtype = bank.vectors.dtype();
        let ones = Tensor::ones([samples, 1], (&device, dtype));
        let inputs = Tensor::cat(vec![centered.mul(scale.clone()), ones], 1);
        let targets = bank.one_hot(num_classes);
        let count = samples as f64;
        let penalized = Tensor::cat(
            vec![
                Tensor::full([features, 1], self.penalty / count, (&device, dtype)),
                Tensor::zeros([1, 1], (&device, dtype)),
            ],
            0,
        );

        // The curvature of the cross-entropy is at most half of that of the squares of its logits,
        // whose largest eigenvalue is at most the root of the sum of all squared entries.
        let squares = inputs.clone().transpose().matmul(inputs.clone());
        let curvature = squares.div_scalar(count).square().sum().sqrt();
        let step = curvature
            .mul_scalar(0.5)
            .add_scalar(self.penalty / count)
            .recip()
            .reshape([1, 1]);

        let mut weights = Tensor::<2>::zeros([features + 1, num_classes], (&device, dtype));
        let mut ahead = weights.clone();
        let mut since_restart = Tensor::<2>::zeros([1, 1], (&device, dtype));
        for _ in 0..self.steps {
            let errors = softmax(inputs.clone().matmul(ahead.clone()), 1).sub(targets.clone());
            let gradient = inputs.clone().transpose().matmul(errors).div_scalar(count);
            let gradient = gradient.add(ahead.clone().mul(penalized.clone()));
            let next = ahead.clone().sub(gradient.clone().mul(step.clone()));
            let change = next.clone().sub(weights);
            let uphill = gradient.mul(change.clone()).sum().reshape([1, 1]);
            since_restart = since_restart
                .add_scalar(1.0)
                .mask_fill(uphill.greater_scalar(0.0), 0.0);
            let momentum = since_restart
                .clone()
                .div(since_restart.clone().add_scalar(3.0));
            ahead = next.clone().add(change.mul(momentum));
            weights = next;
        }
        LinearProbe {
            mean,
            scale,
            bias: weights.clone().narrow(0, features, 1),
            weight: weights.narrow(0, 0, features),
        }
    }
}

/// A linear classifier of embeddings: a softmax regression on standardized features, which is
/// trained while the network stays as it is.
///
/// ```text
/// logits = (embedding − mean) / deviation · weight + bias
/// loss = Σ over samples of cross-entropy(logits, class) + ½ penalty ‖weight‖²
/// ```
///
/// A feature that is the same for all samples does not count.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_strategy::{EmbeddingSet, LinearProbeConfig};
///
/// let device = Device::default();
/// let embeddings = Tensor::from_data([[1.0, 3.0], [1.2, 2.0], [-1.0, 3.0], [-1.4, 2.0]], &device);
/// let bank = EmbeddingSet::new(embeddings, vec![0, 0, 1, 1]);
///
/// let probe = LinearProbeConfig::new().fit(&bank);
/// assert_eq!(probe.accuracy(&bank)?, 1.0);
/// # Ok::<(), burn_distill_strategy::EvaluationError>(())
/// ```
///
/// # Reference
///
/// G. Alain and Y. Bengio, [Understanding Intermediate Layers Using Linear Classifier
/// Probes](https://arxiv.org/abs/1610.01644), 2016.
#[derive(Clone, Debug)]
pub struct LinearProbe {
    /// Mean of each feature. Shape: `[1, features]`.
    pub mean: Tensor<2>,
    /// Inverse of the deviation of each feature, 0 for a constant. Shape: `[1, features]`.
    pub scale: Tensor<2>,
    /// Weights of the standardized features. Shape: `[features, num_classes]`.
    pub weight: Tensor<2>,
    /// Bias of each class. Shape: `[1, num_classes]`.
    pub bias: Tensor<2>,
}

impl LinearProbe {
    /// Computes the logits of embeddings.
    ///
    /// # Shapes
    ///
    /// - embeddings: `[samples, features]`
    /// - output: `[samples, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if the number of features is not that of the training.
    pub fn forward(&self, embeddings: Tensor<2>) -> Tensor<2> {
        let [_, features] = self.mean.dims();
        assert_shape!(embeddings, [_, features]);
        at_least_f32(embeddings)
            .sub(self.mean.clone())
            .mul(self.scale.clone())
            .matmul(self.weight.clone())
            .add(self.bias.clone())
    }

    /// Returns the share of the embeddings whose class is predicted correctly, between 0 and 1, or
    /// NaN without embeddings.
    ///
    /// # Errors
    ///
    /// Returns an error if the predictions cannot be read from the device.
    ///
    /// # Panics
    ///
    /// Panics like [`forward`](Self::forward).
    pub fn accuracy(&self, queries: &EmbeddingSet) -> Result<f64, EvaluationError> {
        if queries.is_empty() {
            return Ok(f64::NAN);
        }
        let logits = self.forward(queries.vectors.clone());
        let predicted: Tensor<1, Int> = logits.argmax(1).squeeze_dim(1);
        queries.accuracy(predicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    /// Returns 30 points in three features, the last of which is constant, of three classes that
    /// overlap.
    fn points(device: &Device) -> EmbeddingSet {
        let rows = (0..30).flat_map(|n| {
            let n = n as f64;
            let class = n % 3.0;
            let x = class + 1.5 * (1.3 * n).sin();
            let y = 10.0 * (0.5 * class + (0.7 * n + 0.2).sin());
            [x as f32, y as f32, 4.0]
        });
        let rows: Vec<_> = rows.collect();
        let vectors = Tensor::from_data(TensorData::new(rows, [30, 3]), device);
        EmbeddingSet::new(vectors, (0..30).map(|n| n % 3).collect())
    }

    #[test]
    fn the_probe_is_the_optimum_of_the_penalized_cross_entropy() {
        // By docs/reference/probe.py: Newton's method in double precision.
        let device = Device::default();
        for (penalty, expected) in [
            (
                1.0,
                [
                    [0.574807, 0.328745, 0.096448],
                    [0.013724, 0.287088, 0.699188],
                    [0.002519, 0.181547, 0.815935],
                ],
            ),
            (
                0.1,
                [
                    [0.653027, 0.291328, 0.055646],
                    [0.001331, 0.247955, 0.750714],
                    [0.000087, 0.130044, 0.869870],
                ],
            ),
        ] {
            let bank = points(&device);
            let probe = LinearProbeConfig::new().with_penalty(penalty).fit(&bank);
            let probabilities = softmax(probe.forward(bank.vectors), 1).narrow(0, 0, 3);

            probabilities
                .into_data()
                .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-4));
        }
    }

    #[test]
    fn two_trainings_have_the_same_weights() {
        let device = Device::default();
        let [one, other] = [(), ()].map(|()| LinearProbeConfig::new().fit(&points(&device)));

        one.weight
            .into_data()
            .assert_eq(&other.weight.into_data(), true);
    }

    #[test]
    fn scale_and_offset_of_the_features_do_not_matter() {
        let device = Device::default();
        let bank = points(&device);
        let expected = LinearProbeConfig::new()
            .fit(&bank)
            .forward(bank.vectors.clone());
        let moved = bank.vectors.mul_scalar(30.0).add_scalar(5.0);
        let moved = EmbeddingSet::new(moved, bank.classes);

        let logits = LinearProbeConfig::new().fit(&moved).forward(moved.vectors);
        logits
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-2));
    }

    #[test]
    fn a_class_without_samples_is_not_predicted() {
        let device = Device::default();
        let vectors = Tensor::from_data([[1.0], [2.0], [-1.0]], &device);
        let bank = EmbeddingSet::new(vectors, vec![2, 2, 0]);
        let probe = LinearProbeConfig::new().fit(&bank);

        assert_eq!(probe.accuracy(&bank).unwrap(), 1.0);
        assert_eq!(probe.weight.dims(), [1, 3]);
    }

    #[test]
    #[should_panic(expected = "`penalty` should be finite and above 0, but is 0")]
    fn weights_need_a_penalty() {
        let config = LinearProbeConfig::new().with_penalty(0.0);
        config.fit(&points(&Device::default()));
    }
}
