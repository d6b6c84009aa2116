//! CREPE, a network that estimates the pitch of a sound (torchcrepe).

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::activation::{relu, sigmoid};

/// Number of classes of pitch.
const PITCHES: usize = 360;

/// Channels of the layers of the large network.
const FULL: [usize; 6] = [1024, 128, 128, 128, 256, 512];

/// Names of the tensors in the file and in [`Crepe`].
pub const KEYS: [(&str, &str); 2] = [
    (r"^conv(\d)_BN\.", "layer$1.norm."),
    (r"^conv(\d)\.", "layer$1.conv."),
];

/// Network of six convolutions over a window of 1024 samples.
#[derive(Module, Debug)]
pub struct Crepe {
    layer1: Layer,
    layer2: Layer,
    layer3: Layer,
    layer4: Layer,
    layer5: Layer,
    layer6: Layer,
    classifier: Linear,
}

impl Crepe {
    /// Creates the large network.
    pub fn full(device: &Device) -> Self {
        Self::new(FULL, device)
    }

    /// Creates the small network, with an eighth of the channels.
    pub fn tiny(device: &Device) -> Self {
        Self::new(FULL.map(|channels| channels / 8), device)
    }

    fn new([a, b, c, d, e, f]: [usize; 6], device: &Device) -> Self {
        let layer = |channels| Layer::new(channels, (64, 1), (31, 32), device);
        Self {
            layer1: Layer::new([1, a], (512, 4), (254, 254), device),
            layer2: layer([a, b]),
            layer3: layer([b, c]),
            layer4: layer([c, d]),
            layer5: layer([d, e]),
            layer6: layer([e, f]),
            // The layers leave 4 of 1024 positions.
            classifier: LinearConfig::new(4 * f, PITCHES).init(device),
        }
    }

    /// Returns the probability of each pitch.
    ///
    /// # Shapes
    ///
    /// - samples: `[batch_size, 1024]`
    /// - output: `[batch_size, 360]`
    pub fn forward(&self, samples: Tensor<2>) -> Tensor<2> {
        let [batch_size, length] = samples.dims();
        let x = samples.reshape([batch_size, 1, length, 1]);
        let x = self.layer1.forward(x);
        let x = self.layer2.forward(x);
        let x = self.layer3.forward(x);
        let x = self.layer4.forward(x);
        let x = self.layer5.forward(x);
        let x = self.layer6.forward(x);
        let x = x.permute([0, 2, 1, 3]).flatten::<2>(1, 3);
        sigmoid(self.classifier.forward(x))
    }
}

/// A convolution, its normalization after the activation, and a pooling of neighbors.
#[derive(Module, Debug)]
struct Layer {
    conv: Conv2d,
    norm: BatchNorm,
    pool: MaxPool2d,
}

impl Layer {
    fn new(
        channels: [usize; 2],
        (kernel, stride): (usize, usize),
        (before, after): (usize, usize),
        device: &Device,
    ) -> Self {
        let padding = PaddingConfig2d::Explicit(before, 0, after, 0);
        let conv = Conv2dConfig::new(channels, [kernel, 1]).with_stride([stride, 1]);
        Self {
            conv: conv.with_padding(padding).init(device),
            norm: BatchNormConfig::new(channels[1])
                .with_epsilon(0.001)
                .init(device),
            pool: MaxPool2dConfig::new([2, 1]).init(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu(self.conv.forward(x));
        self.pool.forward(self.norm.forward(x))
    }
}
