use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::Device;

/// Shape of a square convolution with a padding of half its kernel.
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
    /// Normal with variance `2 / (kernel² · outputs)`, without regard to groups, and a bias of
    /// zero.
    He,
    /// Default of PyTorch and burn: uniform in `±1 / √(kernel² · inputs / groups)`.
    Uniform,
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

    /// Returns the shape of a 3×3 depthwise convolution.
    pub fn depthwise(channels: usize) -> Self {
        Self::new([channels, channels], 3).groups(channels)
    }

    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
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
            ConvWeights::Uniform => config.init(device),
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
