use super::conv::shuffle_channels;
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::layers::norm;
use crate::stages::{Staged, pooled};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder, batch_norm};

/// Configuration to create a [`ShuffleNetV2`] using the [init function](ShuffleNetV2Config::init).
#[derive(Config, Debug)]
pub struct ShuffleNetV2Config {
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

const KIND: &str = "ShuffleNetV2";
const STEM: usize = 24;
/// Number of channels of each stage, and number of units after its shrinking unit.
const STAGES: [(usize, usize); 3] = [(116, 3), (232, 7), (464, 3)];
const HEAD: [usize; 2] = [464, 1024];

/// Returns the five convolutions of a shrinking unit: two of the first branch, three of the second.
fn shrinking([inputs, outputs]: [usize; 2]) -> [ConvShape; 5] {
    let half = outputs / 2;
    [
        ConvShape::depthwise(inputs).stride(2),
        ConvShape::new([inputs, half], 1),
        ConvShape::new([inputs, half], 1),
        ConvShape::depthwise(half).stride(2),
        ConvShape::new([half, half], 1),
    ]
}

/// Returns the three convolutions of a unit with this number of channels, half of which pass
/// unchanged.
fn keeping(channels: usize) -> [ConvShape; 3] {
    let half = channels / 2;
    [
        ConvShape::new([half, half], 1),
        ConvShape::depthwise(half),
        ConvShape::new([half, half], 1),
    ]
}

/// Returns the input and output channels of each stage, and the number of units after its shrinking
/// unit.
fn stages() -> [([usize; 2], usize); 3] {
    let mut inputs = STEM;
    STAGES.map(|(outputs, units)| ([std::mem::replace(&mut inputs, outputs), outputs], units))
}

impl ShuffleNetV2Config {
    /// Creates a [`ShuffleNetV2`].
    ///
    /// # Panics
    ///
    /// Panics if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> ShuffleNetV2 {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let conv = |shape: ConvShape| shape.init(ConvWeights::Uniform, device);
        let [image, ..] = self.input;
        let [layer1, layer2, layer3] = stages().map(|(channels, units)| ShuffleStage {
            first: ShrinkingUnit::new(channels, device),
            units: (0..units)
                .map(|_| ShuffleUnitV2::new(channels[1], device))
                .collect(),
        });
        let [_, features] = HEAD;
        ShuffleNetV2 {
            conv1: conv(ConvShape::new([image, STEM], 1)),
            bn1: norm(STEM, device),
            layer1,
            layer2,
            layer3,
            conv2: conv(ConvShape::new(HEAD, 1)),
            bn2: norm(features, device),
            linear: LinearConfig::new(features, self.classes).init(device),
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
        let mut shape = plan.convolution("conv1", self.input, STEM, 1, 1);
        plan.norm("bn1", shape);
        for ((channels, units), number) in stages().into_iter().zip(1..) {
            let name = format!("layer{number}.first");
            let convolutions = shrinking(channels);
            let (first, second) = convolutions.split_at(2);
            sequence(&mut plan, &name, shape, first, 1);
            shape = sequence(&mut plan, &name, shape, second, 3);
            for index in 0..units {
                let name = format!("layer{number}.units.{index}");
                shape = sequence(&mut plan, &name, shape, &keeping(channels[1]), 1);
            }
            // With the half from the other branch.
            shape[0] = channels[1];
        }
        let [_, features] = HEAD;
        let shape = plan.convolution("conv2", shape, features, 1, 1);
        plan.norm("bn2", shape);
        plan.linear("linear", [features, self.classes]);
        Ok(plan)
    }

    fn check(&self) -> Result<(), NetworkError> {
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)
    }
}

/// Adds convolutions and their normalizations, numbered from `first`, and returns the shape after
/// them.
fn sequence(
    plan: &mut Plan,
    name: &str,
    mut shape: [usize; 3],
    convolutions: &[ConvShape],
    first: usize,
) -> [usize; 3] {
    for (conv, part) in convolutions.iter().zip(first..) {
        shape = plan.convolution_of(format!("{name}.conv{part}"), shape, *conv);
        plan.norm(format!("{name}.bn{part}"), shape);
    }
    shape
}

/// ShuffleNetV2 for small images: a 1×1 stem, three [stages](ShuffleStage) whose units split,
/// convolve, concatenate and shuffle channels, a 1×1 convolution, global average pooling and a
/// linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution, normalized and activated |
/// | `layer1.pre`, `layer2.pre`, `layer3.pre` | map | the two halves of the output of each stage before they are shuffled, the second before its activation |
/// | `layer1`, `layer2`, `layer3` | map | the output of each stage |
/// | `head` | map | the last convolution, normalized and activated |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of `head` |
/// | `pool` | vector | the mean of each channel of `head` |
///
/// `stem`, the stages and `pool` are the features that RepDistiller returns, in the same order.
/// [`checkpoint`](crate::PublishedNetwork::checkpoint) lists the original names of the tensors. The
/// normalization of a stage covers only half of its channels, so
/// [`normalization`](Network::normalization) returns `None`.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 24, height, width]`
/// - `layer1`: 116 channels at half the height and width, rounded up; `layer2`: 232 at a quarter;
///   `layer3`: 464 at an eighth; `head`: 1024 at an eighth
/// - `pool`: `[batch_size, 1024]`
/// - response: `[batch_size, classes]`
///
/// Images of any size are supported, if they have the configured number of channels; the original
/// supports only 32×32 pixels.
///
/// # Panics
///
/// The forward pass panics if the images have another number of channels.
///
/// # Reference
///
/// N. Ma, X. Zhang, H.-T. Zheng and J. Sun, [ShuffleNet V2: Practical Guidelines for Efficient CNN
/// Architecture Design](https://arxiv.org/abs/1807.11164), ECCV 2018, with a width of 1; as in
/// `models/ShuffleNetv2.py` of RepDistiller, whose stem is a 1×1 convolution at full size.
#[doc(alias = "ShuffleV2")]
#[derive(Module, Debug)]
pub struct ShuffleNetV2 {
    /// Stem.
    pub conv1: Conv2d,
    /// Normalization of the stem.
    pub bn1: BatchNorm,
    /// First stage, at half the size.
    pub layer1: ShuffleStage,
    /// Second stage, at a quarter of the size.
    pub layer2: ShuffleStage,
    /// Third stage, at an eighth of the size.
    pub layer3: ShuffleStage,
    /// Last convolution.
    pub conv2: Conv2d,
    /// Normalization after `conv2`.
    pub bn2: BatchNorm,
    /// Classifier.
    pub linear: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl Network for ShuffleNetV2 {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, STAGES.len(), taps);
        let map = relu(batch_norm(&self.bn2, self.conv2.forward(map)));
        taps.offer("head", || Tap::Map(map.clone()));
        let pool = pooled(map, &self.linear, taps);
        Response::Classes(self.linear.forward(pool))
    }

    fn forward_to(&self, input: Tensor<4>, tap: &str) -> Tap {
        self.forward_to_stage(input, tap)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.input;
        Tensor::zeros([samples, channels, height, width], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.linear.clone())
    }
}

impl Staged for ShuffleNetV2 {
    fn stage_count(&self) -> usize {
        STAGES.len()
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let mut map = relu(batch_norm(&self.bn1, self.conv1.forward(input)));
        taps.offer("stem", || Tap::Map(map.clone()));
        let stages = [&self.layer1, &self.layer2, &self.layer3];
        for (stage, number) in stages.into_iter().take(last).zip(1..) {
            map = stage.first.forward(map);
            for (index, unit) in stage.units.iter().enumerate() {
                let [kept, pre] = unit.forward_halves(map);
                if index + 1 == stage.units.len() {
                    taps.offer(format!("layer{number}.pre"), || {
                        Tap::Map(Tensor::cat(vec![kept.clone(), pre.clone()], 1))
                    });
                }
                map = shuffle_channels(Tensor::cat(vec![kept, relu(pre)], 1), 2);
            }
            taps.offer(format!("layer{number}"), || Tap::Map(map.clone()));
        }
        map
    }
}

/// A stage of a [`ShuffleNetV2`].
#[derive(Module, Debug)]
pub struct ShuffleStage {
    /// Unit that halves the size of the map.
    pub first: ShrinkingUnit,
    /// Other units.
    pub units: Vec<ShuffleUnitV2>,
}

/// A unit of a [`ShuffleNetV2`] that halves the map: two branches over the whole input, whose
/// outputs are concatenated and shuffled.
#[derive(Module, Debug)]
pub struct ShrinkingUnit {
    /// 3×3 depthwise convolution of the first branch.
    pub conv1: Conv2d,
    /// Normalization after `conv1`, without an activation.
    pub bn1: BatchNorm,
    /// 1×1 convolution of the first branch.
    pub conv2: Conv2d,
    /// Normalization after `conv2`.
    pub bn2: BatchNorm,
    /// First 1×1 convolution of the second branch.
    pub conv3: Conv2d,
    /// Normalization after `conv3`.
    pub bn3: BatchNorm,
    /// 3×3 depthwise convolution of the second branch.
    pub conv4: Conv2d,
    /// Normalization after `conv4`, without an activation.
    pub bn4: BatchNorm,
    /// Last 1×1 convolution of the second branch.
    pub conv5: Conv2d,
    /// Normalization after `conv5`.
    pub bn5: BatchNorm,
}

impl ShrinkingUnit {
    fn new(channels: [usize; 2], device: &Device) -> Self {
        let shapes = shrinking(channels);
        let [conv1, conv2, conv3, conv4, conv5] =
            shapes.map(|shape| shape.init(ConvWeights::Uniform, device));
        let [bn1, bn2, bn3, bn4, bn5] = shapes.map(|shape| norm(shape.channels[1], device));
        Self {
            conv1,
            bn1,
            conv2,
            bn2,
            conv3,
            bn3,
            conv4,
            bn4,
            conv5,
            bn5,
        }
    }

    /// Applies the unit.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / 2, width / 2]`, rounded up
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let first = batch_norm(&self.bn1, self.conv1.forward(input.clone()));
        let first = relu(batch_norm(&self.bn2, self.conv2.forward(first)));
        let second = relu(batch_norm(&self.bn3, self.conv3.forward(input)));
        let second = batch_norm(&self.bn4, self.conv4.forward(second));
        let second = relu(batch_norm(&self.bn5, self.conv5.forward(second)));
        shuffle_channels(Tensor::cat(vec![first, second], 1), 2)
    }
}

/// A unit of a [`ShuffleNetV2`]: the first half of the channels passes unchanged, the second half
/// is convolved.
#[derive(Module, Debug)]
pub struct ShuffleUnitV2 {
    /// First 1×1 convolution.
    pub conv1: Conv2d,
    /// Normalization after `conv1`.
    pub bn1: BatchNorm,
    /// 3×3 depthwise convolution.
    pub conv2: Conv2d,
    /// Normalization after `conv2`, without an activation.
    pub bn2: BatchNorm,
    /// Last 1×1 convolution.
    pub conv3: Conv2d,
    /// Normalization after `conv3`.
    pub bn3: BatchNorm,
}

impl ShuffleUnitV2 {
    fn new(channels: usize, device: &Device) -> Self {
        let shapes = keeping(channels);
        let [conv1, conv2, conv3] = shapes.map(|shape| shape.init(ConvWeights::Uniform, device));
        let [bn1, bn2, bn3] = shapes.map(|shape| norm(shape.channels[1], device));
        Self {
            conv1,
            bn1,
            conv2,
            bn2,
            conv3,
            bn3,
        }
    }

    /// Returns the unchanged half of the input and the convolved half without its last activation.
    /// Their concatenation, shuffled, is the output of the unit.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, channels, height, width]`
    /// - outputs: `[batch_size, channels / 2, height, width]`
    pub fn forward_halves(&self, input: Tensor<4>) -> [Tensor<4>; 2] {
        let [_, channels, ..] = input.dims();
        let half = channels / 2;
        let kept = input.clone().narrow(1, 0, half);
        let map = input.narrow(1, half, channels - half);
        let map = relu(batch_norm(&self.bn1, self.conv1.forward(map)));
        let map = batch_norm(&self.bn2, self.conv2.forward(map));
        [kept, batch_norm(&self.bn3, self.conv3.forward(map))]
    }
}

/// Returns the name of a layer in RepDistiller, whose stages are sequences of all units.
pub(super) fn original_layer(ours: &str) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    match parts[..] {
        [stage, "first", layer] => format!("{stage}.0.{layer}"),
        [stage, "units", index, layer] => {
            let index: usize = index.parse().unwrap_or_default();
            format!("{stage}.{}.{layer}", index + 1)
        }
        _ => ours.to_string(),
    }
}
