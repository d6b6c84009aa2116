use super::activation::Activation;
use super::conv::{ConvNorm, linear_without_offset};
use super::inverted_residual::{
    InvertedResidual, InvertedShape, normalization_of_stage, place_in_conv_norm, run_stages,
};
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::stages::{Staged, pooled};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// Configuration to create an [`EfficientNet`] using the [init function](EfficientNetConfig::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::EfficientNetConfig;
/// use burn_distill_core::parameter_count;
///
/// let b0 = EfficientNetConfig::new([3, 224, 224], 1000).init(&Device::default());
///
/// assert_eq!(parameter_count(&b0), 5_288_548);
/// ```
#[derive(Config, Debug)]
pub struct EfficientNetConfig {
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

const KIND: &str = "EfficientNet";

/// Output channels of the stem.
const STEM: usize = 32;

/// Expansion, kernel, stride, output channels and blocks of each group of blocks.
const GROUPS: [[usize; 5]; 7] = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
];

/// Number of all blocks.
const DEPTH: usize = 16;

/// Number of blocks up to the end of each stage, which is a tap. Each stage halves the size of the
/// map.
const STAGES: [usize; 4] = [3, 5, 11, 16];

/// Last convolution.
const HEAD: [usize; 2] = [320, 1280];

/// Probability that stochastic depth drops the residual of a block behind the last one. It grows
/// linearly from zero in the first block.
const DROPPED: f64 = 0.2;

/// Returns the shapes of all blocks, each with the numbers of its group and of the block in the
/// group.
fn blocks() -> impl Iterator<Item = ([usize; 2], InvertedShape)> {
    let mut channels = STEM;
    let numbered = |(group, [.., count]): (usize, [usize; 5])| (0..count).map(move |i| [group, i]);
    let places = GROUPS.into_iter().enumerate().flat_map(numbered);
    places.map(move |[group, index]| {
        let [expansion, kernel, stride, outputs, _] = GROUPS[group];
        let inputs = std::mem::replace(&mut channels, outputs);
        let shape = InvertedShape {
            channels: [inputs, outputs],
            expanded: expansion * inputs,
            expands: expansion > 1,
            kernel,
            stride: if index == 0 { stride } else { 1 },
            squeezed: Some(inputs / 4),
            activation: Activation::Silu,
        };
        ([group, index], shape)
    })
}

impl EfficientNetConfig {
    /// Creates an [`EfficientNet`].
    ///
    /// # Panics
    ///
    /// Panics if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> EfficientNet {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let layer = |shape| ConvNorm::new(shape, ConvWeights::He, device);
        let block = |(index, (_, shape)): (usize, (_, InvertedShape))| {
            let mut block = shape.init(layer, device);
            let [inputs, outputs] = shape.channels;
            if shape.stride == 1 && inputs == outputs {
                let probability = DROPPED * index as f64 / DEPTH as f64;
                block.stochastic_depth = Some(DropoutConfig::new(probability).init());
            }
            block
        };
        let [_, features] = HEAD;
        let bound = 1.0 / (self.classes as f64).sqrt();
        let (min, max) = (-bound, bound);
        EfficientNet {
            stem: layer(self.stem()),
            blocks: blocks().enumerate().map(block).collect(),
            head: layer(ConvShape::new(HEAD, 1)),
            dropout: DropoutConfig::new(0.2).init(),
            classifier: linear_without_offset(
                [features, self.classes],
                Initializer::Uniform { min, max },
                device,
            ),
            input: self.input,
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error where [`init`](Self::init) would panic.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        self.check()?;
        let mut plan = Plan::default();
        let mut shape = ConvNorm::plan(self.stem(), "stem", self.input, &mut plan);
        for (index, (_, block)) in blocks().enumerate() {
            shape = block.plan(&format!("blocks.{index}"), shape, &mut plan);
        }
        ConvNorm::plan(ConvShape::new(HEAD, 1), "head", shape, &mut plan);
        let [_, features] = HEAD;
        plan.linear("classifier", [features, self.classes]);
        Ok(plan)
    }

    fn check(&self) -> Result<(), NetworkError> {
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)
    }

    fn stem(&self) -> ConvShape {
        ConvShape::new([self.input[0], STEM], 3).stride(2)
    }
}

/// EfficientNet-B0: a stem, 16 [inverted residual blocks](InvertedResidual) with
/// [squeeze-and-excitation](crate::SqueezeExcitation), a 1×1 convolution, global average pooling and
/// a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution, normalized and activated |
/// | `layer1` … `layer4` | map | the output of blocks 3, 5, 11 and 16, which is not activated |
/// | `layer1.pre` … `layer4.pre` | map | the same |
/// | `head` | map | the last convolution, normalized and activated |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of `head` |
/// | `pool` | vector | the mean of each channel of `head` |
///
/// The activations are SiLU. In training, block `i` of 0 to 15 drops the residual of a sample with
/// the probability `0.2 · i / 16` (stochastic depth), and there is a dropout of 0.2 before the
/// classifier. [`checkpoint`](crate::PublishedNetwork::checkpoint) lists the original names of the
/// tensors.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 32, height / 2, width / 2]`, rounded up
/// - `layer1`, …, `layer4`: 24, 40, 112 and 320 channels, at 1/4, 1/8, 1/16 and 1/32 of the height
///   and width
/// - `head`: the size of `layer4`, with 1280 channels
/// - `pool`: `[batch_size, 1280]`
/// - response: `[batch_size, classes]`
///
/// Images of any size are supported, if they have the configured number of channels.
///
/// # Panics
///
/// The forward pass panics if the images have another number of channels.
///
/// # Reference
///
/// M. Tan and Q. V. Le, [EfficientNet: Rethinking Model Scaling for Convolutional Neural
/// Networks](https://arxiv.org/abs/1905.11946), ICML 2019; as in `efficientnet_b0` of torchvision.
/// Stochastic depth: G. Huang, Y. Sun, Z. Liu, D. Sedra and K. Q. Weinberger, [Deep Networks with
/// Stochastic Depth](https://arxiv.org/abs/1603.09382), ECCV 2016.
#[derive(Module, Debug)]
pub struct EfficientNet {
    /// Stem, which halves the size of the map.
    pub stem: ConvNorm,
    /// Blocks.
    pub blocks: Vec<InvertedResidual>,
    /// Last convolution.
    pub head: ConvNorm,
    /// Dropout before the classifier.
    pub dropout: Dropout,
    /// Classifier.
    pub classifier: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl Network for EfficientNet {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, STAGES.len(), taps);
        let map = silu(self.head.forward(map));
        taps.offer("head", || Tap::Map(map.clone()));
        let pool = pooled(map, &self.classifier, taps);
        Response::Classes(self.classifier.forward(self.dropout.forward(pool)))
    }

    fn forward_to(&self, input: Tensor<4>, tap: &str) -> Tap {
        self.forward_to_stage(input, tap)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.input;
        Tensor::zeros([samples, channels, height, width], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.classifier.clone())
    }

    fn normalization(&self, tap: &str) -> Option<BatchNorm> {
        normalization_of_stage(tap, &self.blocks, &STAGES)
    }
}

impl Staged for EfficientNet {
    fn stage_count(&self) -> usize {
        STAGES.len()
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let map = silu(self.stem.forward(input));
        taps.offer("stem", || Tap::Map(map.clone()));
        run_stages(map, &self.blocks, &STAGES[..last], taps)
    }
}

/// Returns the name of a layer in torchvision, where all layers but the classifier are in one
/// sequence, and the blocks are grouped.
pub(super) fn original_layer(ours: &str) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    match parts[..] {
        ["stem", part] => format!("features.0.{}", place_in_conv_norm(part)),
        ["head", part] => format!("features.8.{}", place_in_conv_norm(part)),
        ["blocks", index, layer, part] => {
            let index = index.parse().unwrap_or_default();
            let ([group, index], block) = blocks().nth(index).expect("a block of the plan");
            let part = block.name_in_torchvision(layer, part);
            format!("features.{}.{index}.block.{part}", group + 1)
        }
        _ => "classifier.1".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::known_taps;

    #[test]
    fn the_probability_of_a_drop_grows_with_the_depth() {
        let network = EfficientNetConfig::new([1, 8, 8], 10).init(&Device::default());

        let dropped: Vec<_> = network
            .blocks
            .iter()
            .enumerate()
            .filter_map(|(index, block)| Some((index, block.stochastic_depth.as_ref()?.prob)))
            .collect();

        // torchvision's 0.2 · i / 16, for the blocks that add their input.
        let expected = [2, 4, 6, 7, 9, 10, 12, 13, 14].map(|i| (i, 0.0125 * i as f64));
        assert_eq!(dropped.len(), expected.len());
        for ((found, p), (index, expected)) in dropped.into_iter().zip(expected) {
            assert_eq!(found, index);
            assert!((p - expected).abs() < 1e-12, "{index}: {p}");
        }
    }

    #[test]
    fn normalizations_keep_the_usual_constants() {
        let network = EfficientNetConfig::new([1, 8, 8], 10).init(&Device::default());
        let norm = &network.blocks[3].depthwise.norm;
        assert_eq!((norm.epsilon, norm.momentum), (1e-5, 0.1));
        assert_eq!(network.dropout.prob, 0.2);
    }

    #[test]
    fn taps_in_the_order_of_the_forward_pass() {
        let taps = known_taps(&EfficientNetConfig::new([1, 40, 20], 4).init(&Device::default()));

        let found: Vec<_> = taps
            .iter()
            .filter(|(name, _)| !name.ends_with(".pre"))
            .map(|(name, tap)| (name, tap.shape().as_slice().to_vec()))
            .collect();
        assert_eq!(
            found,
            [
                ("stem", vec![2, 32, 20, 10]),
                ("layer1", vec![2, 24, 10, 5]),
                ("layer2", vec![2, 40, 5, 3]),
                ("layer3", vec![2, 112, 3, 2]),
                ("layer4", vec![2, 320, 2, 1]),
                ("head", vec![2, 1280, 2, 1]),
                ("class-maps", vec![2, 4, 2, 1]),
                ("pool", vec![2, 1280]),
            ]
        );
    }

    #[test]
    fn the_classifier_starts_uniform_and_without_offset() {
        let network = EfficientNetConfig::new([1, 8, 8], 25).init(&Device::default());
        // 1 / √25, for the outputs.
        let weight = network.classifier.weight.val().abs().max();
        let largest = weight.into_scalar::<f32>();
        assert!(largest <= 0.2 && largest > 0.199, "{largest}");
        let bias = network.classifier.bias.unwrap().val().abs().max();
        assert_eq!(bias.into_scalar::<f32>(), 0.0);
    }
}
