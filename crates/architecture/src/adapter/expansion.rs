use crate::layers::norm;
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Check, ConfigError, Tap, TapAdapter, batch_norm, check};

/// Configuration to create an [expansion adapter](ExpansionAdapter) using the
/// [init function](ExpansionAdapterConfig::init).
#[derive(Config, Debug)]
pub struct ExpansionAdapterConfig {
    /// Number of input channels.
    pub inputs: usize,
    /// Number of output channels.
    pub outputs: usize,
}

impl ExpansionAdapterConfig {
    /// Creates an [expansion adapter](ExpansionAdapter).
    ///
    /// # Panics
    ///
    /// Panics if a number of channels is zero.
    pub fn init(&self, device: &Device) -> ExpansionAdapter {
        let Self { inputs, outputs } = *self;
        self.assert_valid();
        let middle = 2 * outputs;
        let convolution = |channels: [usize; 2], kernel: usize| {
            let half = kernel / 2;
            Conv2dConfig::new(channels, [kernel, kernel])
                .with_padding(PaddingConfig2d::Explicit(half, half, half, half))
                .with_bias(false)
                .init(device)
        };
        ExpansionAdapter {
            conv1: convolution([inputs, middle], 1),
            bn1: norm(middle, device),
            conv2: convolution([middle, middle], 3),
            bn2: norm(middle, device),
            conv3: convolution([middle, outputs], 1),
        }
    }
}

impl Check for ExpansionAdapterConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("inputs", self.inputs, 1)?;
        check::at_least("outputs", self.outputs, 1)
    }
}

/// Adapter of three convolutions, 1×1, 3×3 and 1×1, with twice the output channels in the middle.
/// Batch normalization and ReLU follow the first two but not the last, so that features may have
/// any sign.
///
/// # Shapes
///
/// - input: `[batch_size, inputs, height, width]`
/// - output: `[batch_size, outputs, height, width]`
///
/// # Reference
///
/// `AAEmbed` of the authors' code of D. Chen et al., [Cross-Layer Distillation with Semantic
/// Calibration](https://arxiv.org/abs/2012.03236), AAAI 2021.
#[derive(Module, Debug)]
pub struct ExpansionAdapter {
    /// 1×1 convolution from the input.
    pub conv1: Conv2d,
    /// Normalization of the first convolution.
    pub bn1: BatchNorm,
    /// 3×3 convolution.
    pub conv2: Conv2d,
    /// Normalization of the second convolution.
    pub bn2: BatchNorm,
    /// 1×1 convolution to the output.
    pub conv3: Conv2d,
}

impl ExpansionAdapter {
    /// Adapts a map.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if the adapter was created for another number of channels.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let map = relu(batch_norm(&self.bn1, self.conv1.forward(map)));
        let map = relu(batch_norm(&self.bn2, self.conv2.forward(map)));
        self.conv3.forward(map)
    }
}

impl TapAdapter for ExpansionAdapter {
    fn adapt(&self, student: Tap) -> Tap {
        Tap::Map(self.forward(student.into_map()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn_distill_core::parameter_count;

    #[test]
    fn the_middle_has_twice_the_output_channels() {
        let device = Device::default();
        let adapter = ExpansionAdapterConfig::new(3, 5).init(&device);

        // 3·10, 10·10·9 and 10·5 weights, and two normalizations of ten channels.
        assert_eq!(parameter_count(&adapter), 30 + 900 + 50 + 40);
        let output = adapter.forward(Tensor::ones([2, 3, 4, 6], &device));
        assert_eq!(output.dims(), [2, 5, 4, 6]);
    }

    #[test]
    fn the_output_has_values_of_any_sign() {
        let device = Device::default();
        let adapter = ExpansionAdapterConfig::new(3, 32).init(&device);
        let map = Tensor::random([2, 3, 4, 4], Distribution::Default, &device);

        let output = adapter.forward(map);

        assert!(output.clone().min().into_scalar::<f32>() < 0.0);
        assert!(output.max().into_scalar::<f32>() > 0.0);
    }
}
