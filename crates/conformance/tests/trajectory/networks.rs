//! Networks of the recordings, with the names of their tensors.

use crate::recording::device;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor};
use burn_distill::core::{Network, Response, Tap, TapRecorder, batch_norm};

/// Network of 12 → 16 → 5 features, with batch normalization or without.
#[derive(Module, Debug)]
pub struct Mlp {
    fc1: Linear,
    bn1: Option<BatchNorm>,
    fc: Linear,
}

impl Mlp {
    pub fn new(hidden: usize) -> Self {
        let bn1 = BatchNormConfig::new(hidden).init(&device());
        Self {
            bn1: Some(bn1),
            ..Self::plain(hidden)
        }
    }

    pub fn plain(hidden: usize) -> Self {
        Self {
            fc1: LinearConfig::new(12, hidden).init(&device()),
            bn1: None,
            fc: LinearConfig::new(hidden, 5).init(&device()),
        }
    }
}

impl Network for Mlp {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let hidden = self.fc1.forward(input);
        let hidden = match &self.bn1 {
            Some(bn1) => batch_norm(bn1, hidden),
            None => hidden,
        };
        let hidden = relu(hidden);
        taps.offer("pool", || Tap::Vector(hidden.clone()));
        Response::Classes(self.fc.forward(hidden))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 12], (device, DType::F64))
    }
}

pub fn conv3x3(channels: [usize; 2], stride: usize, bias: bool) -> Conv2d {
    Conv2dConfig::new(channels, [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(bias)
        .init(&device())
}

pub fn norm(channels: usize) -> BatchNorm {
    BatchNormConfig::new(channels).init(&device())
}

/// Network of two blocks, the mean over pixels and a classifier.
#[derive(Module, Debug)]
pub struct Conv {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    fc: Linear,
}

impl Conv {
    pub fn new([first, second]: [usize; 2]) -> Self {
        Self {
            conv1: conv3x3([3, first], 1, true),
            bn1: norm(first),
            conv2: conv3x3([first, second], 2, true),
            bn2: norm(second),
            fc: LinearConfig::new(second, 5).init(&device()),
        }
    }

    pub fn student() -> Self {
        Self::new([8, 12])
    }

    pub fn teacher() -> Self {
        Self::new([12, 20])
    }
}

impl Network for Conv {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = relu(batch_norm(&self.bn1, self.conv1.forward(input)));
        taps.offer("layer1", || Tap::Map(map.clone()));
        let map = relu(batch_norm(&self.bn2, self.conv2.forward(map)));
        taps.offer("layer2", || Tap::Map(map.clone()));
        let pool = pixels(map);
        taps.offer("pool", || Tap::Vector(pool.clone()));
        Response::Classes(self.fc.forward(pool))
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.fc.clone())
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 3, 8, 8], (device, DType::F64))
    }
}

/// Returns the mean over the pixels of each channel.
pub fn pixels(map: Tensor<4>) -> Tensor<2> {
    map.mean_dims(&[2, 3]).flatten(1, 3)
}
