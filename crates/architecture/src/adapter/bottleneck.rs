use crate::layers::norm;
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Check, ConfigError, batch_norm, check};

/// Configuration to create a [`BottleneckProjector`] using the [init
/// function](BottleneckProjectorConfig::init).
#[derive(Config, Debug)]
pub struct BottleneckProjectorConfig {
    /// Numbers of input and output channels.
    pub channels: [usize; 2],
    /// Ratio of the output channels to the channels in the middle, which are at least one. Default:
    /// `2`.
    #[config(default = 2)]
    pub factor: usize,
    /// Whether a ReLU follows. Default: `true`; `false` is for features that may be negative.
    #[config(default = true)]
    pub relu: bool,
    /// Ratios of height and width of the input to those of the output: the kernel and the stride of
    /// the convolution in the middle, which is then not padded. Default: no change of the size.
    pub shrink: Option<[usize; 2]>,
}

impl BottleneckProjectorConfig {
    /// Creates a [`BottleneckProjector`].
    ///
    /// # Panics
    ///
    /// Panics if a number of channels or the factor is zero.
    pub fn init(&self, device: &Device) -> BottleneckProjector {
        let Self {
            channels: [inputs, outputs],
            factor,
            relu,
            shrink,
        } = *self;
        self.assert_valid();
        let between = (outputs / factor).max(1);
        let layer = |channels: [usize; 2], conv: Conv2dConfig| ProjectorLayer {
            conv: conv.with_bias(false).init(device),
            bn: norm(channels[1], device),
        };
        let pixelwise = |channels| layer(channels, Conv2dConfig::new(channels, [1, 1]));
        let middle = [between, between];
        let conv = match shrink {
            None => Conv2dConfig::new(middle, [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)),
            Some(shrink) => Conv2dConfig::new(middle, shrink).with_stride(shrink),
        };
        BottleneckProjector {
            layer: vec![
                pixelwise([inputs, between]),
                layer(middle, conv),
                pixelwise([between, outputs]),
            ],
            relu,
        }
    }
}

impl Check for BottleneckProjectorConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::ensure(
            self.channels.iter().all(|&channels| channels > 0),
            "channels",
            "at least 1 each",
            format_args!("{:?}", self.channels),
        )?;
        check::at_least("factor", self.factor, 1)
    }
}

/// Projector with a narrow middle: a 1×1, a 3×3 and a 1×1 convolution without bias, each followed
/// by batch normalization and ReLU. If the projector shrinks the map, the convolution in the middle
/// maps each tile to one pixel.
///
/// # Shapes
///
/// - input: `[batch_size, channels[0], height, width]`
/// - output: `[batch_size, channels[1], height, width]`; with `shrink`
///   `[batch_size, channels[1], height / shrink[0], width / shrink[1]]`, rounded down
///
/// # Reference
///
/// D. Chen, J.-P. Mei, H. Zhang, C. Wang, Y. Feng and C. Chen, [Knowledge Distillation with the
/// Reused Teacher Classifier](https://arxiv.org/abs/2203.14001), CVPR 2022: `transfer` of the
/// authors' SimKD.
#[derive(Module, Debug)]
pub struct BottleneckProjector {
    /// Layers.
    pub layer: Vec<ProjectorLayer>,
    /// Whether a ReLU follows the last layer.
    pub relu: bool,
}

/// A layer of a [`BottleneckProjector`].
#[derive(Module, Debug)]
pub struct ProjectorLayer {
    /// Convolution.
    pub conv: Conv2d,
    /// Normalization after the convolution.
    pub bn: BatchNorm,
}

impl BottleneckProjector {
    /// Projects a map.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height, width]`, or smaller by the factors of `shrink`
    ///
    /// # Panics
    ///
    /// Panics if the projector was created for another number of channels.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let last = self.layer.len() - 1;
        self.layer
            .iter()
            .enumerate()
            .fold(map, |map, (index, layer)| {
                let map = batch_norm(&layer.bn, layer.conv.forward(map));
                match index < last || self.relu {
                    true => relu(map),
                    false => map,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn_distill_core::parameter_count;

    #[test]
    fn the_middle_is_narrow() {
        let projector = BottleneckProjectorConfig::new([6, 8]).init(&Device::default());

        // 1×1 from 6 to 4, 3×3 from 4 to 4, 1×1 from 4 to 8; two values for each normalized
        // channel.
        let expected = 6 * 4 + 9 * 4 * 4 + 4 * 8 + 2 * (4 + 4 + 8);
        assert_eq!(parameter_count(&projector), expected);
    }

    #[test]
    fn the_middle_shrinks_by_tiles() {
        let device = Device::default();
        let config = BottleneckProjectorConfig::new([3, 8]).with_shrink(Some([2, 4]));
        let projector = config.init(&device);

        // 1×1 from 3 to 4, 2×4 from 4 to 4, 1×1 from 4 to 8; two values for each normalized
        // channel.
        let expected = 3 * 4 + 8 * 4 * 4 + 4 * 8 + 2 * (4 + 4 + 8);
        assert_eq!(parameter_count(&projector), expected);
        let map = Tensor::ones([2, 3, 5, 8], &device);
        assert_eq!(projector.forward(map).dims(), [2, 8, 2, 2]);
    }

    #[test]
    fn the_last_activation_is_optional() {
        let device = Device::default();
        let map = Tensor::random([2, 3, 4, 4], Distribution::Normal(0.0, 1.0), &device);
        let smallest = |relu: bool| {
            let config = BottleneckProjectorConfig::new([3, 8]).with_relu(relu);
            let projected = config.init(&device).forward(map.clone());
            assert_eq!(projected.dims(), [2, 8, 4, 4]);
            projected.min().into_scalar::<f32>()
        };

        assert_eq!(smallest(true), 0.0);
        assert!(smallest(false) < 0.0);
    }
}
