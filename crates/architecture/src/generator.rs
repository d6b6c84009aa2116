use crate::layers::norm;
use burn::config::Config;
use burn::module::{Module, ModuleDisplay};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::{leaky_relu, tanh};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::numeric::{Interpolation, resize_to};
use burn_distill_core::{Check, ConfigError, PlainBatchNorm, batch_norm, check};

/// A network that makes images of latent vectors, such as random ones.
pub trait Generator: Module + ModuleDisplay + 'static {
    /// Returns the number of values of a latent vector.
    fn latents(&self) -> usize;

    /// Makes an image of each latent vector.
    ///
    /// # Shapes
    ///
    /// - latents: `[batch_size, latents]`
    /// - output: `[batch_size, channels, height, width]`
    fn generate(&self, latents: Tensor<2>) -> Tensor<4>;
}

/// Slope of the leaky ReLUs below zero.
const SLOPE: f64 = 0.2;

/// Configuration to create an [`ImageGenerator`] using the [init
/// function](ImageGeneratorConfig::init).
#[derive(Config, Debug)]
pub struct ImageGeneratorConfig {
    /// Shape of an image: channels, height, width. At least 1 each.
    pub image: [usize; 3],
    /// Number of values of a latent vector. At least 1. Default: `100`, as in ZSKT and as in DAFL
    /// on MNIST.
    #[config(default = 100)]
    pub latents: usize,
    /// Number of channels of the first maps; the last hidden maps have half of them. At least 2.
    /// Default: `128`, as in ZSKT and DAFL.
    #[config(default = 128)]
    pub width: usize,
    /// Whether a hyperbolic tangent limits the pixels before their normalization, as in DAFL.
    /// Default: `false`, as in ZSKT.
    #[config(default = false)]
    pub tanh: bool,
    /// Addend of the variance in the normalizations after the hidden convolutions. Must be
    /// positive. Default: `1e-5`, as in ZSKT; DAFL has 0.8.
    #[config(default = 1e-5)]
    pub epsilon: f64,
}

impl ImageGeneratorConfig {
    /// Creates an [`ImageGenerator`].
    ///
    /// # Panics
    ///
    /// Panics if a size or `epsilon` is out of its range.
    pub fn init(&self, device: &Device) -> ImageGenerator {
        self.assert_valid();
        let [channels, height, width] = self.image;
        let (first, last) = (self.width, self.width / 2);
        let [rows, columns] = [height, width].map(|size| size.div_ceil(4));
        let convolution = |channels: [usize; 2]| {
            Conv2dConfig::new(channels, [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        let hidden_norm = |channels| BatchNorm {
            epsilon: self.epsilon,
            ..norm(channels, device)
        };
        ImageGenerator {
            linear: LinearConfig::new(self.latents, first * rows * columns).init(device),
            bn0: norm(first, device),
            conv1: convolution([first, first]),
            bn1: hidden_norm(first),
            conv2: convolution([first, last]),
            bn2: hidden_norm(last),
            conv3: convolution([last, channels]),
            bn3: PlainBatchNorm::new(channels, device),
            image: self.image,
            tanh: self.tanh,
        }
    }
}

/// Largest size, so that products of sizes stay far from an overflow.
const LARGEST: usize = 1 << 16;

impl Check for ImageGeneratorConfig {
    fn check(&self) -> Result<(), ConfigError> {
        for (axis, size) in ["channels", "height", "width"].into_iter().zip(self.image) {
            check::count_in(format_args!("image ({axis})"), size, 1..=LARGEST)?;
        }
        check::count_in("latents", self.latents, 1..=LARGEST)?;
        check::count_in("width", self.width, 2..=LARGEST)?;
        check::positive("epsilon", self.epsilon)
    }
}

/// Convolutional generator of the data-free methods ZSKT and DAFL.
///
/// ```text
/// map    = bn0(reshape(linear(latents)))                 width channels, a quarter of the size
/// map    = leaky_relu(bn1(conv1(resize(map))), 0.2)      width channels, half of the size
/// map    = leaky_relu(bn2(conv2(resize(map))), 0.2)      width / 2 channels, the whole size
/// pixels = bn3(conv3(map)),  or with `tanh`  bn3(tanh(conv3(map)))
/// ```
///
/// The convolutions are padded and 3×3, sizes are rounded up, and maps are resized to the nearest
/// neighbor. The last normalization has neither scale nor offset, so that in training every channel
/// of a batch has a mean of zero and a variance of one, as normalized images have.
///
/// # Shapes
///
/// - input: `[batch_size, latents]`
/// - output: `[batch_size, channels, height, width]`
///
/// # Reference
///
/// P. Micaelli and A. Storkey, [Zero-shot Knowledge Transfer via Adversarial Belief
/// Matching](https://arxiv.org/abs/1905.09768), NeurIPS 2019; H. Chen et al., [Data-Free Learning
/// of Student Networks](https://arxiv.org/abs/1904.01186), ICCV 2019.
#[derive(Module, Debug)]
pub struct ImageGenerator {
    /// Layer to the first maps.
    pub linear: Linear,
    /// Normalization of the first maps.
    pub bn0: BatchNorm,
    /// First convolution.
    pub conv1: Conv2d,
    /// Normalization of the first convolution.
    pub bn1: BatchNorm,
    /// Second convolution.
    pub conv2: Conv2d,
    /// Normalization of the second convolution.
    pub bn2: BatchNorm,
    /// Convolution to the pixels.
    pub conv3: Conv2d,
    /// Normalization of the pixels, without scale and offset.
    pub bn3: PlainBatchNorm,
    /// Shape of an image: channels, height, width.
    pub image: [usize; 3],
    /// Whether a hyperbolic tangent limits the pixels before their normalization.
    pub tanh: bool,
}

impl Generator for ImageGenerator {
    fn latents(&self) -> usize {
        self.linear.weight.dims()[0]
    }

    fn generate(&self, latents: Tensor<2>) -> Tensor<4> {
        let [values] = [self.latents()];
        assert_shape!(latents, [_, values]);
        let [samples, _] = latents.dims();
        let [_, height, width] = self.image;
        let size = |part: usize| [height.div_ceil(part), width.div_ceil(part)];
        let resized = |map: Tensor<4>, part| resize_to(map, size(part), Interpolation::Nearest);

        let [channels] = self.bn0.gamma.shape().dims();
        let [rows, columns] = size(4);
        let first = self.linear.forward(latents);
        let map = batch_norm(&self.bn0, first.reshape([samples, channels, rows, columns]));
        let map = self.conv1.forward(resized(map, 2));
        let map = leaky_relu(batch_norm(&self.bn1, map), SLOPE);
        let map = self.conv2.forward(resized(map, 1));
        let map = leaky_relu(batch_norm(&self.bn2, map), SLOPE);
        let pixels = self.conv3.forward(map);
        let pixels = match self.tanh {
            true => tanh(pixels),
            false => pixels,
        };
        self.bn3.forward(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{Distribution, Tolerance};
    use burn_distill_core::parameter_count;

    fn normal(shape: [usize; 2], device: &Device) -> Tensor<2> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
    }

    #[test]
    fn images_have_any_shape() {
        let device = Device::default();
        for image in [[1, 8, 8], [3, 32, 32], [2, 5, 7], [1, 1, 1]] {
            let config = ImageGeneratorConfig::new(image)
                .with_latents(3)
                .with_width(4);
            let generator = config.init(&device);

            let [channels, height, width] = image;
            let images = generator.generate(normal([2, 3], &device));

            assert_eq!(images.dims(), [2, channels, height, width]);
        }
    }

    #[test]
    fn the_parameters_are_those_of_the_generator_of_zskt() {
        let generator = ImageGeneratorConfig::new([3, 32, 32]).init(&Device::default());

        // linear 100 → 128·8·8, bn 128, conv 128 → 128, bn 128, conv 128 → 64, bn 64, conv 64 → 3.
        let linear = 100 * 8192 + 8192;
        let convolutions = (128 * 128 + 128 * 64 + 64 * 3) * 9 + 128 + 64 + 3;
        let norms = 2 * (128 + 128 + 64);
        assert_eq!(parameter_count(&generator), linear + convolutions + norms);
    }

    #[test]
    fn in_training_every_channel_of_a_batch_is_normalized() {
        let device = Device::default().autodiff();
        for tanh in [false, true] {
            let config = ImageGeneratorConfig::new([2, 6, 6])
                .with_width(4)
                .with_tanh(tanh);
            let generator = config.init(&device);

            let images = generator
                .generate(normal([16, 100], &device))
                .without_autodiff();

            let rows = images.swap_dims(0, 1).reshape([2, 16 * 36]);
            let (variance, mean) = rows.var_mean_bias(1);
            let tolerance = Tolerance::absolute(2e-3);
            mean.into_data()
                .assert_approx_eq::<f32>(&[[0.0], [0.0]].into(), tolerance);
            let tolerance = Tolerance::absolute(2e-2);
            variance
                .into_data()
                .assert_approx_eq::<f32>(&[[1.0], [1.0]].into(), tolerance);
        }
    }

    #[test]
    fn gradients_reach_every_parameter() {
        let device = Device::default().autodiff();
        let generator = ImageGeneratorConfig::new([1, 6, 6])
            .with_width(4)
            .init(&device);
        let images = generator.generate(normal([6, 100], &device));
        let weights = Tensor::arange(0..216, &device)
            .float()
            .sin()
            .reshape([6, 1, 6, 6]);

        let grads = images.mul(weights).sum().backward();

        fn largest<const D: usize>(
            param: &Param<Tensor<D>>,
            grads: &burn::tensor::Gradients,
        ) -> f32 {
            param.val().grad(grads).unwrap().abs().max().into_scalar()
        }
        for weight in [&generator.conv1, &generator.conv2, &generator.conv3] {
            assert!(largest(&weight.weight, &grads) > 1e-4);
        }
        assert!(largest(&generator.linear.weight, &grads) > 1e-4);
        for norm in [&generator.bn0, &generator.bn1, &generator.bn2] {
            assert!(largest(&norm.gamma, &grads) > 1e-4);
        }
    }

    #[test]
    #[should_panic(expected = "`width` should be from 2 to 65536, but is 1")]
    fn a_single_hidden_channel_is_refused() {
        ImageGeneratorConfig::new([1, 8, 8])
            .with_width(1)
            .init(&Device::default());
    }
}
