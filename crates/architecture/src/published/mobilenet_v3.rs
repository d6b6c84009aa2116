use super::activation::Activation;
use super::conv::{ConvNorm, small_linear};
use super::inverted_residual::{
    InvertedResidual, InvertedShape, normalization_of_stage, place_in_conv_norm, round_channels,
    run_stages,
};
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::layers::global_average;
use crate::stages::Staged;
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Linear};
use burn::tensor::activation::hard_swish;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// Configuration to create a [`MobileNetV3`] using the [init function](MobileNetV3Config::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::MobileNetV3Config;
/// use burn_distill_core::parameter_count;
///
/// let small = MobileNetV3Config::new([3, 224, 224], 1000).init(&Device::default());
///
/// assert_eq!(parameter_count(&small), 2_542_856);
/// ```
#[derive(Config, Debug)]
pub struct MobileNetV3Config {
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

const KIND: &str = "MobileNetV3";

/// Output channels of the stem.
const STEM: usize = 16;

/// Kernel, expanded channels, output channels and stride of each block, whether it squeezes, and its
/// activation.
const BLOCKS: [([usize; 4], bool, Activation); 11] = [
    ([3, 16, 16, 2], true, Activation::Relu),
    ([3, 72, 24, 2], false, Activation::Relu),
    ([3, 88, 24, 1], false, Activation::Relu),
    ([5, 96, 40, 2], true, Activation::HardSwish),
    ([5, 240, 40, 1], true, Activation::HardSwish),
    ([5, 240, 40, 1], true, Activation::HardSwish),
    ([5, 120, 48, 1], true, Activation::HardSwish),
    ([5, 144, 48, 1], true, Activation::HardSwish),
    ([5, 288, 96, 2], true, Activation::HardSwish),
    ([5, 576, 96, 1], true, Activation::HardSwish),
    ([5, 576, 96, 1], true, Activation::HardSwish),
];

/// Number of blocks up to the end of each stage, which is a tap. Each stage halves the size of the
/// map.
const STAGES: [usize; 4] = [1, 3, 8, 11];

/// Output channels of the last convolution.
const HEAD: usize = 576;
/// Number of hidden features of the classifier.
const HIDDEN: usize = 1024;

/// Returns the shapes of all blocks.
fn blocks() -> impl Iterator<Item = InvertedShape> {
    let mut channels = STEM;
    BLOCKS
        .into_iter()
        .map(move |(sizes, squeezes, activation)| {
            let [kernel, expanded, outputs, stride] = sizes;
            let inputs = std::mem::replace(&mut channels, outputs);
            InvertedShape {
                channels: [inputs, outputs],
                expanded,
                expands: expanded != inputs,
                kernel,
                stride,
                squeezed: squeezes.then(|| round_channels((expanded / 4) as f64)),
                activation,
            }
        })
}

impl MobileNetV3Config {
    /// Creates a [`MobileNetV3`].
    ///
    /// # Panics
    ///
    /// Panics if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> MobileNetV3 {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let layer = |shape| ConvNorm::new(shape, ConvWeights::He, device).with_norm(1e-3, 0.01);
        MobileNetV3 {
            stem: layer(self.stem()),
            blocks: blocks().map(|block| block.init(layer, device)).collect(),
            head: layer(head()),
            hidden: small_linear([HEAD, HIDDEN], device),
            dropout: DropoutConfig::new(0.2).init(),
            classifier: small_linear([HIDDEN, self.classes], device),
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
        for (index, block) in blocks().enumerate() {
            shape = block.plan(&format!("blocks.{index}"), shape, &mut plan);
        }
        ConvNorm::plan(head(), "head", shape, &mut plan);
        plan.linear("hidden", [HEAD, HIDDEN]);
        plan.linear("classifier", [HIDDEN, self.classes]);
        Ok(plan)
    }

    fn check(&self) -> Result<(), NetworkError> {
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)
    }

    fn stem(&self) -> ConvShape {
        ConvShape::new([self.input[0], STEM], 3).stride(2)
    }
}

fn head() -> ConvShape {
    let [.., ([_, _, channels, _], _, _)] = BLOCKS;
    ConvShape::new([channels, HEAD], 1)
}

/// MobileNetV3-small: a stem, 11 [inverted residual blocks](InvertedResidual) with
/// [squeeze-and-excitation](crate::SqueezeExcitation) in nine of them, a 1×1 convolution, global
/// average pooling, a hidden layer and a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution, normalized and activated |
/// | `layer1` … `layer4` | map | the output of blocks 1, 3, 8 and 11, which is not activated |
/// | `layer1.pre` … `layer4.pre` | map | the same |
/// | `head` | map | the last convolution, normalized and activated |
/// | `hidden.1.pre` | vector | the hidden layer before its activation |
/// | `pool` | vector | the hidden layer after its activation |
///
/// The activations are ReLU in the first three blocks, and hard swish elsewhere:
/// `x · clamp(x / 6 + 1 / 2, 0, 1)`. The normalizations have an epsilon of 0.001 and a momentum of
/// 0.01, and there is a dropout of 0.2 before the classifier.
/// [`checkpoint`](crate::PublishedNetwork::checkpoint) lists the original names of the tensors.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 16, height / 2, width / 2]`, rounded up
/// - `layer1`, …, `layer4`: 16, 24, 48 and 96 channels, at 1/4, 1/8, 1/16 and 1/32 of the height
///   and width
/// - `head`: the size of `layer4`, with 576 channels
/// - `hidden.1.pre`, `pool`: `[batch_size, 1024]`
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
/// A. Howard et al., [Searching for MobileNetV3](https://arxiv.org/abs/1905.02244), ICCV 2019; as in
/// `mobilenet_v3_small` of torchvision.
#[derive(Module, Debug)]
pub struct MobileNetV3 {
    /// Stem, which halves the size of the map.
    pub stem: ConvNorm,
    /// Blocks.
    pub blocks: Vec<InvertedResidual>,
    /// Last convolution.
    pub head: ConvNorm,
    /// Hidden layer.
    pub hidden: Linear,
    /// Dropout before the classifier.
    pub dropout: Dropout,
    /// Classifier.
    pub classifier: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl Network for MobileNetV3 {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, STAGES.len(), taps);
        let map = hard_swish(self.head.forward(map));
        taps.offer("head", || Tap::Map(map.clone()));
        let hidden = self.hidden.forward(global_average(map));
        taps.offer("hidden.1.pre", || Tap::Vector(hidden.clone()));
        let pool = hard_swish(hidden);
        taps.offer("pool", || Tap::Vector(pool.clone()));
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

impl Staged for MobileNetV3 {
    fn stage_count(&self) -> usize {
        STAGES.len()
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let map = hard_swish(self.stem.forward(input));
        taps.offer("stem", || Tap::Map(map.clone()));
        run_stages(map, &self.blocks, &STAGES[..last], taps)
    }
}

/// Returns the name of a layer in torchvision, where all layers but the linear ones are in one
/// sequence.
pub(super) fn original_layer(ours: &str) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    match parts[..] {
        ["stem", part] => format!("features.0.{}", place_in_conv_norm(part)),
        ["head", part] => format!("features.12.{}", place_in_conv_norm(part)),
        ["blocks", index, layer, part] => {
            let index: usize = index.parse().unwrap_or_default();
            let block = blocks().nth(index).expect("a block of the plan");
            let part = block.name_in_torchvision(layer, part);
            format!("features.{}.block.{part}", index + 1)
        }
        ["hidden"] => "classifier.0".into(),
        _ => "classifier.3".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::known_taps;

    #[test]
    fn squeezes_have_the_channels_of_torchvision() {
        let squeezed: Vec<_> = blocks().map(|block| block.squeezed.unwrap_or(0)).collect();
        assert_eq!(squeezed, [8, 0, 0, 24, 64, 64, 32, 40, 72, 144, 144]);
    }

    #[test]
    fn normalizations_and_dropout_have_the_constants_of_torchvision() {
        let network = MobileNetV3Config::new([1, 8, 8], 10).init(&Device::default());
        for layer in [&network.stem, &network.blocks[4].project, &network.head] {
            assert_eq!((layer.norm.epsilon, layer.norm.momentum), (1e-3, 0.01));
        }
        assert_eq!(network.dropout.prob, 0.2);
    }

    #[test]
    fn taps_in_the_order_of_the_forward_pass() {
        let taps = known_taps(&MobileNetV3Config::new([1, 40, 20], 4).init(&Device::default()));

        let found: Vec<_> = taps
            .iter()
            .map(|(name, tap)| (name, tap.shape().as_slice().to_vec()))
            .collect();
        assert_eq!(
            found,
            [
                ("stem", vec![2, 16, 20, 10]),
                ("layer1.pre", vec![2, 16, 10, 5]),
                ("layer1", vec![2, 16, 10, 5]),
                ("layer2.pre", vec![2, 24, 5, 3]),
                ("layer2", vec![2, 24, 5, 3]),
                ("layer3.pre", vec![2, 48, 3, 2]),
                ("layer3", vec![2, 48, 3, 2]),
                ("layer4.pre", vec![2, 96, 2, 1]),
                ("layer4", vec![2, 96, 2, 1]),
                ("head", vec![2, 576, 2, 1]),
                ("hidden.1.pre", vec![2, 1024]),
                ("pool", vec![2, 1024]),
            ]
        );
    }

    #[test]
    #[should_panic(expected = "assert_shape!(input, [_, channels, _, _]): axis 1 expected 3")]
    fn gray_images_are_refused_by_a_network_for_colors() {
        let device = Device::default();
        let network = MobileNetV3Config::new([3, 8, 8], 10).init(&device);
        network.forward(Tensor::zeros([1, 1, 8, 8], &device));
    }
}
