//! The three networks of MTCNN, which detects faces (facenet-pytorch).

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PRelu, PReluConfig};
use burn::prelude::*;
use burn::tensor::activation::softmax;

/// Names of the tensors in the files and in these networks.
pub const KEYS: [(&str, &str); 1] = [(r"^(prelu\d)\.weight$", "$1.alpha")];

fn conv(channels: [usize; 2], kernel: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [kernel; 2]).init(device)
}

fn prelu(channels: usize, device: &Device) -> PRelu {
    let config = PReluConfig::new().with_num_parameters(channels);
    config.init(device)
}

fn pool(kernel: usize) -> MaxPool2d {
    let config = MaxPool2dConfig::new([kernel; 2]).with_strides([2; 2]);
    config.with_ceil_mode(true).init()
}

/// The proposal network, for images of any size.
#[derive(Module, Debug)]
pub struct PNet {
    conv1: Conv2d,
    prelu1: PRelu,
    pool1: MaxPool2d,
    conv2: Conv2d,
    prelu2: PRelu,
    conv3: Conv2d,
    prelu3: PRelu,
    conv4_1: Conv2d,
    conv4_2: Conv2d,
}

impl PNet {
    /// Creates the network.
    pub fn new(device: &Device) -> Self {
        Self {
            conv1: conv([3, 10], 3, device),
            prelu1: prelu(10, device),
            pool1: pool(2),
            conv2: conv([10, 16], 3, device),
            prelu2: prelu(16, device),
            conv3: conv([16, 32], 3, device),
            prelu3: prelu(32, device),
            conv4_1: conv([32, 2], 1, device),
            conv4_2: conv([32, 4], 1, device),
        }
    }

    /// Returns the corrections of the boxes and the probabilities of a face at each position.
    ///
    /// # Shapes
    ///
    /// - images: `[batch_size, 3, height, width]`
    /// - output: `[batch_size, 4, rows, columns]` and `[batch_size, 2, rows, columns]`
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<4>; 2] {
        let x = self.prelu1.forward(self.conv1.forward(images));
        let x = self.pool1.forward(x);
        let x = self.prelu2.forward(self.conv2.forward(x));
        let x = self.prelu3.forward(self.conv3.forward(x));
        let face = softmax(self.conv4_1.forward(x.clone()), 1);
        [self.conv4_2.forward(x), face]
    }
}

/// The refinement network.
#[derive(Module, Debug)]
pub struct RNet {
    conv1: Conv2d,
    prelu1: PRelu,
    pool1: MaxPool2d,
    conv2: Conv2d,
    prelu2: PRelu,
    pool2: MaxPool2d,
    conv3: Conv2d,
    prelu3: PRelu,
    dense4: Linear,
    prelu4: PRelu,
    dense5_1: Linear,
    dense5_2: Linear,
}

impl RNet {
    /// Creates the network.
    pub fn new(device: &Device) -> Self {
        Self {
            conv1: conv([3, 28], 3, device),
            prelu1: prelu(28, device),
            pool1: pool(3),
            conv2: conv([28, 48], 3, device),
            prelu2: prelu(48, device),
            pool2: pool(3),
            conv3: conv([48, 64], 2, device),
            prelu3: prelu(64, device),
            dense4: LinearConfig::new(576, 128).init(device),
            prelu4: prelu(128, device),
            dense5_1: LinearConfig::new(128, 2).init(device),
            dense5_2: LinearConfig::new(128, 4).init(device),
        }
    }

    /// Returns the corrections of the boxes and the probabilities of a face.
    ///
    /// # Shapes
    ///
    /// - images: `[batch_size, 3, 24, 24]`
    /// - output: `[batch_size, 4]` and `[batch_size, 2]`
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<2>; 2] {
        let x = self.prelu1.forward(self.conv1.forward(images));
        let x = self.pool1.forward(x);
        let x = self.prelu2.forward(self.conv2.forward(x));
        let x = self.pool2.forward(x);
        let x = self.prelu3.forward(self.conv3.forward(x));
        let x = x.permute([0, 3, 2, 1]).flatten::<2>(1, 3);
        let x = self.prelu4.forward(self.dense4.forward(x));
        let face = softmax(self.dense5_1.forward(x.clone()), 1);
        [self.dense5_2.forward(x), face]
    }
}

/// The output network.
#[derive(Module, Debug)]
pub struct ONet {
    conv1: Conv2d,
    prelu1: PRelu,
    pool1: MaxPool2d,
    conv2: Conv2d,
    prelu2: PRelu,
    pool2: MaxPool2d,
    conv3: Conv2d,
    prelu3: PRelu,
    pool3: MaxPool2d,
    conv4: Conv2d,
    prelu4: PRelu,
    dense5: Linear,
    prelu5: PRelu,
    dense6_1: Linear,
    dense6_2: Linear,
    dense6_3: Linear,
}

impl ONet {
    /// Creates the network.
    pub fn new(device: &Device) -> Self {
        Self {
            conv1: conv([3, 32], 3, device),
            prelu1: prelu(32, device),
            pool1: pool(3),
            conv2: conv([32, 64], 3, device),
            prelu2: prelu(64, device),
            pool2: pool(3),
            conv3: conv([64, 64], 3, device),
            prelu3: prelu(64, device),
            pool3: pool(2),
            conv4: conv([64, 128], 2, device),
            prelu4: prelu(128, device),
            dense5: LinearConfig::new(1152, 256).init(device),
            prelu5: prelu(256, device),
            dense6_1: LinearConfig::new(256, 2).init(device),
            dense6_2: LinearConfig::new(256, 4).init(device),
            dense6_3: LinearConfig::new(256, 10).init(device),
        }
    }

    /// Returns the corrections of the boxes, the landmarks and the probabilities of a face.
    ///
    /// # Shapes
    ///
    /// - images: `[batch_size, 3, 48, 48]`
    /// - output: `[batch_size, 4]`, `[batch_size, 10]` and `[batch_size, 2]`
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<2>; 3] {
        let x = self.prelu1.forward(self.conv1.forward(images));
        let x = self.pool1.forward(x);
        let x = self.prelu2.forward(self.conv2.forward(x));
        let x = self.pool2.forward(x);
        let x = self.prelu3.forward(self.conv3.forward(x));
        let x = self.pool3.forward(x);
        let x = self.prelu4.forward(self.conv4.forward(x));
        let x = x.permute([0, 3, 2, 1]).flatten::<2>(1, 3);
        let x = self.prelu5.forward(self.dense5.forward(x));
        let face = softmax(self.dense6_1.forward(x.clone()), 1);
        let boxes = self.dense6_2.forward(x.clone());
        [boxes, self.dense6_3.forward(x), face]
    }
}
