use crate::Plan;
use crate::layers::norm;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use burn_distill_core::batch_norm;

/// The shape of a square convolution, padded by half its kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Factor by which the map shrinks.
    pub stride: usize,
    /// Number of groups of channels that are convolved separately.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

/// Initial weights of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConvWeights {
    /// Normal with variance `2 / (kernel² · outputs)`, without regard to groups, and a bias of zero.
    He,
}

impl ConvShape {
    pub fn new(channels: [usize; 2], kernel: usize) -> Self {
        Self {
            channels,
            kernel,
            stride: 1,
            groups: 1,
            bias: false,
        }
    }

    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub fn bias(self) -> Self {
        Self { bias: true, ..self }
    }

    pub fn init(self, weights: ConvWeights, device: &Device) -> Conv2d {
        let half = self.kernel / 2;
        let [_, outputs] = self.channels;
        let config = Conv2dConfig::new(self.channels, [self.kernel, self.kernel])
            .with_stride([self.stride, self.stride])
            .with_padding(PaddingConfig2d::Explicit(half, half, half, half))
            .with_groups(self.groups)
            .with_bias(self.bias);
        match weights {
            ConvWeights::He => {
                // burn's Kaiming initializers divide the outputs by the groups; PyTorch's do not.
                let fan_out = (self.kernel * self.kernel * outputs) as f64;
                let mut conv = config
                    .with_initializer(Initializer::Normal {
                        mean: 0.0,
                        std: (2.0 / fan_out).sqrt(),
                    })
                    .init(device);
                if self.bias {
                    conv.bias = Some(Initializer::Zeros.init([outputs], device));
                }
                conv
            }
        }
    }
}

/// A convolution with its batch normalization.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution.
    pub conv: Conv2d,
    /// Its normalization.
    pub norm: BatchNorm,
}

impl ConvNorm {
    pub(crate) fn new(shape: ConvShape, weights: ConvWeights, device: &Device) -> Self {
        let [_, outputs] = shape.channels;
        Self {
            conv: shape.init(weights, device),
            norm: norm(outputs, device),
        }
    }

    pub(crate) fn plan(
        shape: ConvShape,
        name: &str,
        input: [usize; 3],
        plan: &mut Plan,
    ) -> [usize; 3] {
        let output = plan.convolution_of(format!("{name}.conv"), input, shape);
        plan.norm(format!("{name}.norm"), output);
        output
    }

    /// Applies the convolution and the normalization, without the activation that follows them.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / stride, width / stride]`, rounded up
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        batch_norm(&self.norm, self.conv.forward(input))
    }
}

/// A linear layer whose weights are normal with deviation 0.01 and whose bias is zero.
pub(crate) fn small_linear([inputs, outputs]: [usize; 2], device: &Device) -> Linear {
    let mut linear = LinearConfig::new(inputs, outputs)
        .with_initializer(Initializer::Normal {
            mean: 0.0,
            std: 0.01,
        })
        .init(device);
    linear.bias = Some(Initializer::Zeros.init([outputs], device));
    linear
}
