use crate::shapes::{CLASSES, SIZE};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::{prelude::*, tensor::activation::relu};
use burn_distill::prelude::*;

/// Fully convolutional network: a class for every pixel.
#[derive(Module, Debug)]
pub struct Net {
    layers: Vec<(Conv2d, BatchNorm)>,
    classifier: Conv2d,
}

impl Net {
    /// Creates a network of three layers, each of which sees twice as far as the one before.
    pub fn new(channels: usize, device: &Device) -> Self {
        let layer = |(inputs, reach)| {
            let conv = Conv2dConfig::new([inputs, channels], [3, 3]).with_dilation([reach; 2]);
            let conv = conv.with_padding(PaddingConfig2d::Explicit(reach, reach, reach, reach));
            (
                conv.init(device),
                BatchNormConfig::new(channels).init(device),
            )
        };
        Self {
            layers: [(1, 1), (channels, 2), (channels, 4)].map(layer).into(),
            classifier: Conv2dConfig::new([channels, CLASSES], [1, 1]).init(device),
        }
    }
}

impl Network for Net {
    type Input = Tensor<4>;

    fn forward_tapped(&self, images: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let features = self.layers.iter().fold(images, |map, (conv, norm)| {
            relu(norm.forward(conv.forward(map)))
        });
        taps.offer("features", || Tap::Map(features.clone()));
        let logits = self.classifier.forward(features);
        taps.offer("logits", || Tap::Map(logits.clone()));
        // Pixels are like the tokens of a sequence: rows of logits, all of which count.
        let logits = logits.flatten::<3>(2, 3).swap_dims(1, 2);
        let [samples, pixels, _] = logits.dims();
        let mask = Tensor::full([samples, pixels], true, &logits.device());
        Response::Tokens { logits, mask }
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 1, SIZE, SIZE], device)
    }
}
