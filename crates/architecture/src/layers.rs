use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use std::f64::consts::SQRT_2;

/// Creates a convolution without bias, padded by half its kernel, with the initial weights of He et
/// al., [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852), ICCV 2015: normal with
/// variance `2 / (kernel² · outputs)`.
pub(crate) fn convolution(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    device: &Device,
) -> Conv2d {
    let half = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(half, half, half, half))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal {
            gain: SQRT_2,
            fan_out_only: true,
        })
        .init(device)
}

pub(crate) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

/// Computes the mean of each channel. From `[batch_size, channels, height, width]` to
/// `[batch_size, channels]`.
pub(crate) fn global_average(map: Tensor<4>) -> Tensor<2> {
    map.mean_dims(&[2, 3]).flatten(1, 3)
}
