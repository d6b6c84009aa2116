use super::conv::shuffle_channels;
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::layers::norm;
use crate::stages::stage_before_activation;
use crate::stages::{Staged, forward_blocks, pooled};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder, batch_norm};

/// Configuration to create a [`ShuffleNetV1`] using the [init function](ShuffleNetV1Config::init).
#[derive(Config, Debug)]
pub struct ShuffleNetV1Config {
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

const KIND: &str = "ShuffleNet";

/// Number of groups of the 1×1 convolutions.
const GROUPS: usize = 3;
const STEM: usize = 24;
/// Numbers of channels and blocks of each stage.
const STAGES: [(usize, usize); 3] = [(240, 4), (480, 8), (960, 4)];

/// Shape of a block, whose output is concatenated with its pooled input if it shrinks.
#[derive(Clone, Copy)]
struct UnitShape {
    inputs: usize,
    outputs: usize,
    shrinks: bool,
}

impl UnitShape {
    /// Returns the three convolutions.
    fn convolutions(self) -> [ConvShape; 3] {
        let stride = if self.shrinks { 2 } else { 1 };
        let outputs = self.residual();
        let middle = outputs / 4;
        [
            ConvShape::new([self.inputs, middle], 1).groups(self.groups()),
            ConvShape::depthwise(middle).stride(stride),
            ConvShape::new([middle, outputs], 1).groups(GROUPS),
        ]
    }

    /// Returns the number of channels that the convolutions output.
    fn residual(self) -> usize {
        match self.shrinks {
            true => self.outputs - self.inputs,
            false => self.outputs,
        }
    }

    /// Returns the number of groups of the first convolution, which is not grouped directly after
    /// the stem.
    fn groups(self) -> usize {
        if self.inputs == STEM { 1 } else { GROUPS }
    }
}

fn stages() -> [Vec<UnitShape>; 3] {
    let mut inputs = STEM;
    STAGES.map(|(outputs, units)| {
        let unit = |index| UnitShape {
            inputs: std::mem::replace(&mut inputs, outputs),
            outputs,
            shrinks: index == 0,
        };
        (0..units).map(unit).collect()
    })
}

impl ShuffleNetV1Config {
    /// Creates a [`ShuffleNetV1`].
    ///
    /// # Panics
    ///
    /// Panics if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> ShuffleNetV1 {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let [channels, ..] = self.input;
        let [layer1, layer2, layer3] = stages().map(|stage| {
            let units = stage.into_iter();
            units
                .map(|shape| ShuffleUnitV1::new(shape, device))
                .collect()
        });
        let [.., (features, _)] = STAGES;
        ShuffleNetV1 {
            conv1: ConvShape::new([channels, STEM], 1).init(ConvWeights::Uniform, device),
            bn1: norm(STEM, device),
            layer1,
            layer2,
            layer3,
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
        for (stage, number) in stages().into_iter().zip(1..) {
            for (index, unit) in stage.into_iter().enumerate() {
                for (conv, part) in unit.convolutions().into_iter().zip(1..) {
                    let name = format!("layer{number}.{index}");
                    shape = plan.convolution_of(format!("{name}.conv{part}"), shape, conv);
                    plan.norm(format!("{name}.bn{part}"), shape);
                }
                // With the pooled input.
                shape[0] = unit.outputs;
            }
        }
        let [features, ..] = shape;
        plan.linear("linear", [features, self.classes]);
        Ok(plan)
    }

    fn check(&self) -> Result<(), NetworkError> {
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)
    }
}

/// ShuffleNet for small images: a 1×1 stem, three stages of [units](ShuffleUnitV1) of grouped
/// convolutions with channel shuffles between them, global average pooling and a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution, normalized and activated |
/// | `layer1.pre`, `layer2.pre`, `layer3.pre` | map | each stage before its last activation |
/// | `layer1`, `layer2`, `layer3` | map | each stage after its last activation |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of the last map |
/// | `pool` | vector | the mean of each channel of `layer3` |
///
/// The taps are the features that RepDistiller returns, in the same order. The names of the tensors
/// are also those of RepDistiller. The `weight` and `bias` of a normalization there are `gamma` and
/// `beta` here.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 24, height, width]`
/// - `layer1`: 240 channels at half the height and width, rounded up; `layer2`: 480 at a quarter;
///   `layer3`: 960 at an eighth
/// - `pool`: `[batch_size, 960]`
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
/// X. Zhang, X. Zhou, M. Lin and J. Sun, [ShuffleNet: An Extremely Efficient Convolutional Neural
/// Network for Mobile Devices](https://arxiv.org/abs/1707.01083), CVPR 2018, with 3 groups; as in
/// `models/ShuffleNetv1.py` of RepDistiller, whose stem is a 1×1 convolution at full size, and
/// which also has an activation after the 3×3 convolutions.
#[doc(alias = "ShuffleV1")]
#[derive(Module, Debug)]
pub struct ShuffleNetV1 {
    /// Stem.
    pub conv1: Conv2d,
    /// Normalization of the stem.
    pub bn1: BatchNorm,
    /// First stage, at half the size.
    pub layer1: Vec<ShuffleUnitV1>,
    /// Second stage, at a quarter of the size.
    pub layer2: Vec<ShuffleUnitV1>,
    /// Third stage, at an eighth of the size.
    pub layer3: Vec<ShuffleUnitV1>,
    /// Classifier.
    pub linear: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl ShuffleNetV1 {
    fn stages(&self) -> [&[ShuffleUnitV1]; 3] {
        [&self.layer1, &self.layer2, &self.layer3]
    }
}

impl Network for ShuffleNetV1 {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, STAGES.len(), taps);
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

    fn normalization(&self, tap: &str) -> Option<BatchNorm> {
        let number = stage_before_activation(tap)?;
        let stage = self.stages().into_iter().nth(number.checked_sub(1)?)?;
        stage.last().map(|unit| unit.bn3.clone())
    }
}

impl Staged for ShuffleNetV1 {
    fn stage_count(&self) -> usize {
        STAGES.len()
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let map = relu(batch_norm(&self.bn1, self.conv1.forward(input)));
        taps.offer("stem", || Tap::Map(map.clone()));
        let stages = self.stages().into_iter().take(last);
        forward_blocks(map, stages, ShuffleUnitV1::forward_pre, taps)
    }
}

/// A unit of a [`ShuffleNetV1`]: a grouped 1×1 convolution, a channel shuffle, a 3×3 depthwise
/// convolution and a grouped 1×1 convolution. The output is added to the input or, if the map
/// shrinks, concatenated with the pooled input.
#[derive(Module, Debug)]
pub struct ShuffleUnitV1 {
    /// First convolution.
    pub conv1: Conv2d,
    /// Normalization after `conv1`.
    pub bn1: BatchNorm,
    /// Depthwise convolution, which may shrink the map.
    pub conv2: Conv2d,
    /// Normalization after `conv2`.
    pub bn2: BatchNorm,
    /// Last convolution.
    pub conv3: Conv2d,
    /// Normalization after `conv3`.
    pub bn3: BatchNorm,
    /// Pooling of the input, if the map shrinks.
    pub shortcut: Option<AvgPool2d>,
}

impl ShuffleUnitV1 {
    fn new(shape: UnitShape, device: &Device) -> Self {
        let [conv1, conv2, conv3] = shape.convolutions();
        let conv = |shape: ConvShape| shape.init(ConvWeights::Uniform, device);
        let norm = |shape: ConvShape| norm(shape.channels[1], device);
        Self {
            conv1: conv(conv1),
            bn1: norm(conv1),
            conv2: conv(conv2),
            bn2: norm(conv2),
            conv3: conv(conv3),
            bn3: norm(conv3),
            shortcut: shape.shrinks.then(|| {
                AvgPool2dConfig::new([3, 3])
                    .with_strides([2, 2])
                    .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                    .init()
            }),
        }
    }

    /// Applies the unit without its last activation.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / stride, width / stride]`, rounded up
    pub fn forward_pre(&self, input: Tensor<4>) -> Tensor<4> {
        let map = relu(batch_norm(&self.bn1, self.conv1.forward(input.clone())));
        let map = shuffle_channels(map, self.conv1.groups);
        let map = relu(batch_norm(&self.bn2, self.conv2.forward(map)));
        let residual = batch_norm(&self.bn3, self.conv3.forward(map));
        match &self.shortcut {
            Some(pool) => Tensor::cat(vec![residual, pool.forward(input)], 1),
            None => residual.add(input),
        }
    }
}
