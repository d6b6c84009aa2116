use crate::layers::{convolution, global_average, norm};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::activation::{leaky_relu, sigmoid};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{Check, ConfigError, batch_norm, check};

/// Slope of the leaky ReLU of a [`MapDiscriminator`] below zero.
const SLOPE: f64 = 0.2;

/// Configuration to create a [`MapDiscriminator`] using the [init
/// function](MapDiscriminatorConfig::init).
#[derive(Config, Debug)]
pub struct MapDiscriminatorConfig {
    /// Number of channels of the maps.
    pub channels: usize,
}

impl MapDiscriminatorConfig {
    /// Creates a [`MapDiscriminator`].
    ///
    /// # Panics
    ///
    /// Panics if the number of channels is zero.
    pub fn init(&self, device: &Device) -> MapDiscriminator {
        self.assert_valid();
        let channels = self.channels;
        let hidden = (channels / 2).max(1);
        MapDiscriminator {
            conv1: convolution([channels, hidden], 3, 1, device),
            bn: norm(hidden, device),
            conv2: Conv2dConfig::new([hidden, 1], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device),
        }
    }
}

impl Check for MapDiscriminatorConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("channels", self.channels, 1)
    }
}

/// Discriminator between the maps of two networks. Its output is the probability that a map is
/// real.
///
/// ```text
/// D(map) = sigmoid(mean over pixels of conv2(leaky_relu(bn(conv1(map)), 0.2)))
/// ```
///
/// Both convolutions are padded 3×3 convolutions, the first to half of the channels and the second
/// to one channel. Maps may have any height and width.
///
/// During training, maps are normalized by the statistics of their batch, so the maps of two
/// networks should be in two batches. A batch of a single pixel has no variance, so the output is
/// the same for every such map.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - output: `[batch_size]`
///
/// # Reference
///
/// After I. Chung, S. Park, J. Kim and N. Kwak, [Feature-map-level Online Adversarial Knowledge
/// Distillation](https://arxiv.org/abs/2002.01775), ICML 2020. The order of the layers
/// (convolution, batch normalization, leaky ReLU, convolution, sigmoid) is unverified. The sizes of
/// the kernels, the number of hidden channels, the slope and the mean over pixels are our
/// interpretation, because the authors published no code.
#[derive(Module, Debug)]
pub struct MapDiscriminator {
    /// Convolution to half of the channels.
    pub conv1: Conv2d,
    /// Normalization of the first convolution.
    pub bn: BatchNorm,
    /// Convolution to one channel.
    pub conv2: Conv2d,
}

impl MapDiscriminator {
    /// Computes the probability that each map is real, in at least single precision.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - output: `[batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the discriminator was created for another number of channels.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<1> {
        let [_, channels, ..] = self.conv1.weight.dims();
        assert_shape!(map, [_, channels, _, _]);
        let hidden = leaky_relu(batch_norm(&self.bn, self.conv1.forward(map)), SLOPE);
        let score = global_average(self.conv2.forward(hidden));
        sigmoid(at_least_f32(score)).squeeze_dim(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::Distribution;
    use burn_distill_core::parameter_count;

    fn maps(size: [usize; 4], device: &Device) -> Tensor<4> {
        Tensor::random(size, Distribution::Normal(0.0, 1.0), device)
    }

    #[test]
    fn the_output_is_one_probability_for_a_map_of_any_size() {
        let device = Device::default();
        let discriminator = MapDiscriminatorConfig::new(6).init(&device);

        // 6·3·9 weights, two values for each of three channels, 3·9 weights and a bias.
        assert_eq!(parameter_count(&discriminator), 162 + 6 + 27 + 1);
        for size in [[1, 6, 1, 1], [3, 6, 5, 4]] {
            let output = discriminator.forward(maps(size, &device));
            assert_eq!(output.dims(), [size[0]]);
            assert!(output.clone().min().into_scalar::<f32>() > 0.0);
            assert!(output.max().into_scalar::<f32>() < 1.0);
        }
    }

    #[test]
    fn maps_of_one_channel_are_supported() {
        let device = Device::default();
        let discriminator = MapDiscriminatorConfig::new(1).init(&device);

        assert_eq!(
            discriminator.forward(maps([2, 1, 3, 3], &device)).dims(),
            [2]
        );
    }

    #[test]
    fn the_gradient_of_a_single_pixel_is_finite() {
        let device = Device::default().autodiff();
        let discriminator = MapDiscriminatorConfig::new(4).init(&device);
        let map = maps([1, 4, 1, 1], &device).require_grad();

        let grads = discriminator.forward(map.clone()).sum().backward();

        let gradient = map.grad(&grads).unwrap().abs().max();
        assert!(gradient.into_scalar::<f32>().is_finite());
    }

    #[test]
    fn the_gradient_of_a_saturated_output_is_finite() {
        let device = Device::default().autodiff();
        let mut discriminator = MapDiscriminatorConfig::new(4).init(&device);
        let weight = discriminator.conv2.weight.val().mul_scalar(1e6);
        discriminator.conv2.weight = Param::from_tensor(weight.detach());
        let map = maps([3, 4, 2, 2], &device).mul_scalar(1e4).require_grad();

        let output = discriminator.forward(map.clone());
        let sure = output.clone().sub_scalar(0.5).abs().min();
        assert!(sure.into_scalar::<f32>() > 0.49);
        let grads = output.sub_scalar(1.0).square().sum().backward();

        let gradient = map.grad(&grads).unwrap().abs().max();
        assert!(gradient.into_scalar::<f32>().is_finite());
    }

    #[test]
    #[should_panic(expected = "map")]
    fn other_channels_are_refused() {
        let device = Device::default();
        MapDiscriminatorConfig::new(4)
            .init(&device)
            .forward(maps([2, 3, 2, 2], &device));
    }
}
