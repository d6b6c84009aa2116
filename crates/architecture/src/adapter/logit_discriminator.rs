use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{Check, ConfigError, check};

/// Slope of the leaky ReLUs of a [`LogitDiscriminator`] below zero.
const SLOPE: f64 = 0.2;

/// Largest number of hidden features, whose layers have a gigabyte of weights.
const MOST_HIDDEN: usize = 16_384;

/// Configuration to create a [`LogitDiscriminator`] using the [init
/// function](LogitDiscriminatorConfig::init).
#[derive(Config, Debug)]
pub struct LogitDiscriminatorConfig {
    /// Number of classes.
    pub classes: usize,
    /// Number of units of both hidden layers. Default: `64`.
    #[config(default = 64)]
    pub d_hidden: usize,
}

impl LogitDiscriminatorConfig {
    /// Creates a [`LogitDiscriminator`].
    ///
    /// # Panics
    ///
    /// Panics if a size is zero.
    pub fn init(&self, device: &Device) -> LogitDiscriminator {
        self.assert_valid();
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        LogitDiscriminator {
            linear1: linear(self.classes, self.d_hidden),
            linear2: linear(self.d_hidden, self.d_hidden),
            score: linear(self.d_hidden, 1),
            label: linear(self.d_hidden, self.classes),
        }
    }
}

impl Check for LogitDiscriminatorConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("classes", self.classes, 1)?;
        check::count_in("d_hidden", self.d_hidden, 1..=MOST_HIDDEN)
    }
}

/// Discriminator between the logits of two networks, with a second head that predicts the class of
/// the sample from them.
///
/// ```text
/// h = leaky_relu(linear2(leaky_relu(linear1(logits), 0.2)), 0.2)
/// D(logits) = score(h),    class logits = label(h)
/// ```
///
/// `D` is a logit: its sigmoid is the probability that the logits are those of the real network. It
/// has no normalization over the batch, so that real and fake logits do not depend on each other.
///
/// # Reference
///
/// After Z. Xu, Y.-C. Hsu and J. Huang, [Training Student Networks for Acceleration with
/// Conditional Adversarial Networks](https://arxiv.org/abs/1709.00513), BMVC 2018, a perceptron
/// with both heads. The authors published no code: the number of layers and units and the slope are
/// our interpretation.
#[derive(Module, Debug)]
pub struct LogitDiscriminator {
    /// First hidden layer.
    pub linear1: Linear,
    /// Second hidden layer.
    pub linear2: Linear,
    /// Head that distinguishes real from fake logits.
    pub score: Linear,
    /// Head that predicts the class of the sample.
    pub label: Linear,
}

/// Output of a [`LogitDiscriminator`].
#[derive(Clone, Debug)]
pub struct LogitVerdict {
    /// Logit of the probability that the logits are real. Shape: `[rows]`.
    pub score: Tensor<1>,
    /// Predicted class of the sample, as logits. Shape: `[rows, classes]`.
    pub classes: Tensor<2>,
}

impl LogitDiscriminator {
    /// Computes both heads for each row, in at least single precision. A class that is excluded by
    /// a logit of −∞ counts as one of zero.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, classes]`
    ///
    /// # Panics
    ///
    /// Panics if the discriminator was created for another number of classes.
    pub fn forward(&self, logits: Tensor<2>) -> LogitVerdict {
        let [classes, _] = self.linear1.weight.dims();
        assert_shape!(logits, [_, classes]);
        let excluded = logits.clone().equal_scalar(f64::NEG_INFINITY);
        let logits = at_least_f32(logits).mask_fill(excluded, 0.0);
        let logits = logits.cast(self.linear1.weight.dtype());
        let hidden = leaky_relu(self.linear1.forward(logits), SLOPE);
        let hidden = leaky_relu(self.linear2.forward(hidden), SLOPE);
        LogitVerdict {
            score: at_least_f32(self.score.forward(hidden.clone())).squeeze_dim(1),
            classes: at_least_f32(self.label.forward(hidden)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let device = Device::default();
        let discriminator = LogitDiscriminatorConfig::new(3)
            .with_d_hidden(4)
            .init(&device);
        let rows =
            Tensor::<2>::from_data([[1.0, -2.0, 0.5], [0.0, 40.0, f32::NEG_INFINITY]], &device);

        let both = discriminator.forward(rows.clone());
        let one = discriminator.forward(rows.narrow(0, 1, 1));

        assert_eq!((both.score.dims(), both.classes.dims()), ([2], [2, 3]));
        let second = both.score.narrow(0, 1, 1).into_scalar::<f32>();
        assert!(second.is_finite());
        assert!((second - one.score.into_scalar::<f32>()).abs() < 1e-5);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(logits, [_, classes])")]
    fn another_number_of_classes_is_refused() {
        let device = Device::default();
        let discriminator = LogitDiscriminatorConfig::new(3).init(&device);
        discriminator.forward(Tensor::zeros([2, 4], &device));
    }

    #[test]
    #[should_panic(expected = "`d_hidden` should be from 1 to 16384, but is 0")]
    fn no_hidden_units_are_refused() {
        LogitDiscriminatorConfig::new(3)
            .with_d_hidden(0)
            .init(&Device::default());
    }
}
