//! The network of the program, and its training without a teacher.

use crate::data::DigitBatch;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::nn::{Linear, LinearConfig, Relu};
use burn::prelude::*;
use burn::train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};

/// A network of two convolutions and two linear layers.
#[derive(Module, Debug)]
pub struct Model {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: AdaptiveAvgPool2d,
    linear1: Linear,
    linear2: Linear,
    activation: Relu,
}

/// Configuration of a [`Model`].
#[derive(Config, Debug)]
pub struct ModelConfig {
    /// Number of channels of the first convolution; the second has twice this number.
    channels: usize,
    /// Number of features between the linear layers.
    #[config(default = "64")]
    hidden_size: usize,
}

impl ModelConfig {
    /// Creates the model on a device.
    pub fn init(&self, device: &Device) -> Model {
        let channels = self.channels;
        Model {
            conv1: Conv2dConfig::new([1, channels], [3, 3]).init(device),
            conv2: Conv2dConfig::new([channels, 2 * channels], [3, 3]).init(device),
            pool: AdaptiveAvgPool2dConfig::new([2, 2]).init(),
            linear1: LinearConfig::new(8 * channels, self.hidden_size).init(device),
            linear2: LinearConfig::new(self.hidden_size, 10).init(device),
            activation: Relu::new(),
        }
    }
}

impl Model {
    /// Computes the class logits.
    ///
    /// # Shapes
    ///
    /// - images: `[batch_size, 8, 8]`
    /// - output: `[batch_size, 10]`
    pub fn forward(&self, images: Tensor<3>) -> Tensor<2> {
        let x = images.unsqueeze_dim::<4>(1);
        let x = self.activation.forward(self.conv1.forward(x));
        let x = self.activation.forward(self.conv2.forward(x));
        let x = self.pool.forward(x).flatten(1, 3);
        self.linear2
            .forward(self.activation.forward(self.linear1.forward(x)))
    }

    /// Computes the cross-entropy with the targets.
    pub fn forward_classification(&self, batch: DigitBatch) -> ClassificationOutput {
        let DigitBatch { images, targets } = batch;
        let output = self.forward(images);
        let loss = CrossEntropyLossConfig::new().init(&output.device());
        let loss = loss.forward(output.clone(), targets.clone());
        ClassificationOutput::new(loss, output, targets)
    }
}

impl TrainStep for Model {
    type Input = DigitBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: DigitBatch) -> TrainOutput<ClassificationOutput> {
        let item = self.forward_classification(batch);
        TrainOutput::new(self, item.loss.backward(), item)
    }
}

impl InferenceStep for Model {
    type Input = DigitBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: DigitBatch) -> ClassificationOutput {
        self.forward_classification(batch)
    }
}
