use crate::{Network, Response, Tap, TapRecorder};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// A linear classifier for tests. Tap: `logits`.
#[derive(Module, Debug)]
pub struct LinearClassifier {
    /// Layer from the input to the logits.
    pub linear: Linear,
}

impl LinearClassifier {
    /// Creates a classifier with random weights.
    pub fn new(inputs: usize, num_classes: usize, device: &Device) -> Self {
        Self {
            linear: LinearConfig::new(inputs, num_classes).init(device),
        }
    }

    /// Creates a classifier without a bias from its weights. Shape: `[inputs, num_classes]`.
    pub fn of_weight(weight: Tensor<2>) -> Self {
        Self {
            linear: Linear {
                weight: Param::from_tensor(weight),
                bias: None,
            },
        }
    }
}

impl Network for LinearClassifier {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let logits = self.linear.forward(input);
        taps.offer("logits", || Tap::Vector(logits.clone()));
        Response::Classes(logits)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, self.linear.weight.dims()[0]], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.linear.clone())
    }
}

/// A perceptron for tests, with one hidden layer and batch normalization. Tap: `hidden`.
#[derive(Module, Debug)]
pub struct Perceptron {
    /// Layer from the input to the hidden features.
    pub hidden: Linear,
    /// Normalization of the hidden features, before a ReLU.
    pub norm: BatchNorm,
    /// Layer from the hidden features to the logits.
    pub output: Linear,
}

impl Perceptron {
    /// Creates a perceptron with random weights.
    pub fn new([inputs, hidden, num_classes]: [usize; 3], device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(inputs, hidden).init(device),
            norm: BatchNormConfig::new(hidden).init(device),
            output: LinearConfig::new(hidden, num_classes).init(device),
        }
    }

    /// Computes the logits. Shape: `[batch_size, num_classes]`.
    pub fn logits(&self, input: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.features(input))
    }

    fn features(&self, input: Tensor<2>) -> Tensor<2> {
        relu(self.norm.forward(self.hidden.forward(input)))
    }
}

impl Network for Perceptron {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let hidden = self.features(input);
        taps.offer("hidden", || Tap::Vector(hidden.clone()));
        Response::Classes(self.output.forward(hidden))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, self.hidden.weight.dims()[0]], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.output.clone())
    }
}

/// A convolutional classifier for tests, of gray images of 8×8 pixels. Taps: `layer1`, `layer2`,
/// `pool`.
#[derive(Module, Debug)]
pub struct ConvClassifier {
    /// First convolution.
    pub first: Conv2d,
    /// Normalization of the first convolution, before a ReLU.
    pub first_norm: BatchNorm,
    /// Second convolution.
    pub second: Conv2d,
    /// Normalization of the second convolution, before a ReLU.
    pub second_norm: BatchNorm,
    /// Layer from the pooled features to the logits.
    pub classifier: Linear,
}

impl ConvClassifier {
    /// Creates a classifier with random weights and a number of channels in each layer.
    pub fn new(channels: usize, num_classes: usize, device: &Device) -> Self {
        let convolution = |inputs: usize| {
            let config = Conv2dConfig::new([inputs, channels], [3, 3]);
            config.with_padding(PaddingConfig2d::Same).init(device)
        };
        Self {
            first: convolution(1),
            first_norm: BatchNormConfig::new(channels).init(device),
            second: convolution(channels),
            second_norm: BatchNormConfig::new(channels).init(device),
            classifier: LinearConfig::new(channels, num_classes).init(device),
        }
    }
}

impl Network for ConvClassifier {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let first = relu(self.first_norm.forward(self.first.forward(input)));
        taps.offer("layer1", || Tap::Map(first.clone()));
        let second = relu(self.second_norm.forward(self.second.forward(first)));
        taps.offer("layer2", || Tap::Map(second.clone()));
        let pooled: Tensor<2> = second.mean_dim(2).mean_dim(3).flatten(1, 3);
        taps.offer("pool", || Tap::Vector(pooled.clone()));
        Response::Classes(self.classifier.forward(pooled))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 1, 8, 8], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.classifier.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_taps;

    fn shapes<N: Network>(network: &N) -> Vec<(String, Vec<usize>)> {
        let taps = known_taps(network);
        let shapes = taps.iter();
        let shapes = shapes.map(|(name, tap)| (name.to_string(), tap.shape().as_slice().to_vec()));
        shapes.collect()
    }

    #[test]
    fn every_network_offers_the_taps_of_its_docs() {
        let device = Device::default();

        let linear = LinearClassifier::new(3, 5, &device);
        assert_eq!(shapes(&linear), [("logits".into(), vec![2, 5])]);
        let perceptron = Perceptron::new([3, 7, 5], &device);
        assert_eq!(shapes(&perceptron), [("hidden".into(), vec![2, 7])]);
        let conv = ConvClassifier::new(4, 5, &device);
        let expected = [
            ("layer1".into(), vec![2, 4, 8, 8]),
            ("layer2".into(), vec![2, 4, 8, 8]),
            ("pool".into(), vec![2, 4]),
        ];
        assert_eq!(shapes(&conv), expected);
    }
}
