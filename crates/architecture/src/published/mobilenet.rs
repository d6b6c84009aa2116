use super::activation::Activation;
use super::conv::{ConvNorm, small_linear};
use super::inverted_residual::{
    InvertedResidual, InvertedShape, normalization_of_stage, round_channels, run_stages,
};
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::stages::{Staged, pooled};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// Configuration to create a [`MobileNetV2`] using the [init function](MobileNetV2Config::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::MobileNetV2Config;
/// use burn_distill_core::parameter_count;
///
/// let half = MobileNetV2Config::new([3, 32, 32], 100)
///     .with_width(0.5)
///     .with_small_images(true)
///     .init(&Device::default());
///
/// assert_eq!(parameter_count(&half), 812_836);
/// ```
#[derive(Config, Debug)]
pub struct MobileNetV2Config {
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Factor by which the numbers of channels in the paper are multiplied.
    #[config(default = 1.0)]
    pub width: f64,
    /// Whether the network is RepDistiller's variant for images of 32×32 pixels, instead of
    /// torchvision's for images of 224×224.
    ///
    /// The variant for small images shrinks them by 16 instead of 32, uses ReLU instead of ReLU6,
    /// also has an expansion in the first block, to the same number of channels, rounds channels
    /// down instead of to a multiple of 8, and has no dropout before the classifier.
    #[config(default = false)]
    pub small_images: bool,
}

const KIND: &str = "MobileNetV2";

/// Expansion, channels, blocks and stride of each group of blocks.
const GROUPS: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

/// Number of blocks up to the end of each stage, which is a tap. Each stage halves the size of the
/// map, the first only for large images.
const STAGES: [usize; 4] = [3, 6, 13, 17];

/// Convolutions and blocks of a configuration.
struct Layout {
    stem: ConvShape,
    blocks: Vec<InvertedShape>,
    head: ConvShape,
}

impl MobileNetV2Config {
    /// Creates a [`MobileNetV2`].
    ///
    /// # Panics
    ///
    /// Panics if the width gives a layer no channels or more than 65,536, or if a size is zero or
    /// above 65,536.
    pub fn init(&self, device: &Device) -> MobileNetV2 {
        let layout = self.layout().unwrap_or_else(|error| panic!("{error}"));
        let layer = |shape| ConvNorm::new(shape, ConvWeights::He, device);
        let block = |shape: InvertedShape| shape.init(layer, device);
        let [_, features] = layout.head.channels;
        MobileNetV2 {
            stem: layer(layout.stem),
            blocks: layout.blocks.into_iter().map(block).collect(),
            head: layer(layout.head),
            dropout: DropoutConfig::new(if self.small_images { 0.0 } else { 0.2 }).init(),
            classifier: small_linear([features, self.classes], device),
            input: self.input,
            activation: self.activation(),
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error where [`init`](Self::init) would panic.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        let layout = self.layout()?;
        let mut plan = Plan::default();
        let mut shape = ConvNorm::plan(layout.stem, "stem", self.input, &mut plan);
        for (index, block) in layout.blocks.into_iter().enumerate() {
            shape = block.plan(&format!("blocks.{index}"), shape, &mut plan);
        }
        let [features, ..] = ConvNorm::plan(layout.head, "head", shape, &mut plan);
        plan.linear("classifier", [features, self.classes]);
        Ok(plan)
    }

    /// Returns the number of channels of a layer that has `paper` channels in the paper.
    fn channels(&self, paper: usize) -> usize {
        let scaled = paper as f64 * self.width;
        match self.small_images {
            true => scaled as usize,
            false => round_channels(scaled),
        }
    }

    fn activation(&self) -> Activation {
        match self.small_images {
            true => Activation::Relu,
            false => Activation::Relu6,
        }
    }

    /// Checks all values and returns the shapes of all layers.
    fn layout(&self) -> Result<Layout, NetworkError> {
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)?;
        let [image, ..] = self.input;
        let mut channels = self.channels(32);
        let stem = ConvShape::new([image, channels], 3).stride(2);
        let mut blocks = Vec::new();
        for (group, [expansion, width, count, stride]) in GROUPS.into_iter().enumerate() {
            let width = self.channels(width);
            for index in 0..count {
                let keeps_size = index > 0 || self.small_images && group == 1;
                blocks.push(InvertedShape {
                    channels: [channels, width],
                    expanded: channels.saturating_mul(expansion),
                    expands: self.small_images || expansion > 1,
                    kernel: 3,
                    stride: if keeps_size { 1 } else { stride },
                    squeezed: None,
                    activation: self.activation(),
                });
                channels = width;
            }
        }
        // Narrower networks keep the width of the last layer.
        let last = match self.width > 1.0 {
            true => self.channels(1280),
            false => 1280,
        };
        let widths = blocks.iter().flat_map(|b| [b.channels[0], b.channels[1]]);
        let widths: Vec<_> = widths.chain([last]).collect();
        error::check_widths(&widths)?;
        Ok(Layout {
            stem,
            blocks,
            head: ConvShape::new([channels, last], 1),
        })
    }
}

/// MobileNetV2: a stem, 17 [inverted residual blocks](InvertedResidual), a 1×1 convolution, global
/// average pooling and a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution, normalized and activated |
/// | `layer1` … `layer4` | map | the output of blocks 3, 6, 13 and 17, which is not activated |
/// | `layer1.pre` … `layer4.pre` | map | the same |
/// | `head` | map | the last convolution, normalized and activated |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of `head` |
/// | `pool` | vector | the mean of each channel of `head` |
///
/// A block does not end in an activation, so the literature uses its output both as the feature and
/// as the feature before an activation: both taps are the same map. `stem`, the stages and `pool`
/// are the features that RepDistiller returns, in the same order.
/// [`checkpoint`](crate::PublishedNetwork::checkpoint) lists the original names of the tensors.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: half the height and width, rounded up
/// - `layer1`, …, `layer4`: for small images 1/2, 1/4, 1/8 and 1/16 of the height and width;
///   otherwise 1/4, 1/8, 1/16 and 1/32
/// - `head`: the size of `layer4`, with 1280 channels for a width of at most 1
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
/// M. Sandler, A. Howard, M. Zhu, A. Zhmoginov and L.-C. Chen, [MobileNetV2: Inverted Residuals and
/// Linear Bottlenecks](https://arxiv.org/abs/1801.04381), CVPR 2018; as in `mobilenet_v2` of
/// torchvision or, for small images, `models/mobilenetv2.py` of RepDistiller.
#[derive(Module, Debug)]
pub struct MobileNetV2 {
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
    /// Activation after the convolutions.
    #[module(skip)]
    activation: Activation,
}

impl Network for MobileNetV2 {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, STAGES.len(), taps);
        let map = self.activation.forward(self.head.forward(map));
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

impl Staged for MobileNetV2 {
    fn stage_count(&self) -> usize {
        STAGES.len()
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let map = self.activation.forward(self.stem.forward(input));
        taps.offer("stem", || Tap::Map(map.clone()));
        run_stages(map, &self.blocks, &STAGES[..last], taps)
    }
}

/// Returns the name of a layer in RepDistiller, whose blocks are grouped and are sequences of
/// convolution, normalization and ReLU.
pub(super) fn name_in_repdistiller(ours: &str) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    let of_norm = |part: &str| usize::from(part == "norm");
    match parts[..] {
        ["stem", part] => format!("conv1.{}", of_norm(part)),
        ["head", part] => format!("conv2.{}", of_norm(part)),
        ["blocks", index, layer, part] => {
            let mut index: usize = index.parse().unwrap_or_default();
            let mut group = 0;
            while group + 1 < GROUPS.len() && index >= GROUPS[group][2] {
                index -= GROUPS[group][2];
                group += 1;
            }
            let place = match layer {
                "expand" => 0,
                "depthwise" => 3,
                _ => 6,
            };
            format!("blocks.{group}.{index}.conv.{}", place + of_norm(part))
        }
        _ => format!("{ours}.0"),
    }
}

/// Returns the name of a layer in torchvision: all layers but the classifier are in one sequence,
/// and a block is a sequence whose last convolution is not grouped with its normalization.
pub(super) fn name_in_torchvision(ours: &str) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    let of_norm = |part: &str| usize::from(part == "norm");
    match parts[..] {
        ["stem", part] => format!("features.0.{}", of_norm(part)),
        ["head", part] => format!("features.18.{}", of_norm(part)),
        ["blocks", index, layer, part] => {
            let index: usize = index.parse().unwrap_or_default();
            // The first block does not expand.
            let expands = usize::from(index > 0);
            let place = match layer {
                "expand" => format!("0.{}", of_norm(part)),
                "depthwise" => format!("{expands}.{}", of_norm(part)),
                _ => (expands + 1 + of_norm(part)).to_string(),
            };
            format!("features.{}.conv.{place}", index + 1)
        }
        _ => format!("{ours}.1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::known_taps;

    #[test]
    fn channels_are_rounded_as_in_the_originals() {
        let config = MobileNetV2Config::new([3, 32, 32], 10);
        let rounded = |width: f64, paper| config.clone().with_width(width).channels(paper);
        // torchvision's `_make_divisible(v, 8)`.
        assert_eq!(rounded(1.0, 24), 24);
        assert_eq!(rounded(0.5, 24), 16); // 12 is a tie
        assert_eq!(rounded(0.75, 24), 24); // 18 would lose more than a tenth at 16
        assert_eq!(rounded(0.1, 24), 8);
        let small = config.with_small_images(true);
        assert_eq!(small.clone().with_width(0.5).channels(24), 12);
        assert_eq!(small.with_width(0.35).channels(24), 8);
    }

    #[test]
    fn taps_in_the_order_of_the_forward_pass() {
        let config = MobileNetV2Config::new([1, 20, 12], 4)
            .with_width(0.5)
            .with_small_images(true);
        let taps = known_taps(&config.init(&Device::default()));

        let found: Vec<_> = taps
            .iter()
            .map(|(name, tap)| (name, tap.shape().as_slice().to_vec()))
            .collect();
        assert_eq!(
            found,
            [
                ("stem", vec![2, 16, 10, 6]),
                ("layer1.pre", vec![2, 12, 10, 6]),
                ("layer1", vec![2, 12, 10, 6]),
                ("layer2.pre", vec![2, 16, 5, 3]),
                ("layer2", vec![2, 16, 5, 3]),
                ("layer3.pre", vec![2, 48, 3, 2]),
                ("layer3", vec![2, 48, 3, 2]),
                ("layer4.pre", vec![2, 160, 2, 1]),
                ("layer4", vec![2, 160, 2, 1]),
                ("head", vec![2, 1280, 2, 1]),
                ("class-maps", vec![2, 4, 2, 1]),
                ("pool", vec![2, 1280]),
            ]
        );
        let large = known_taps(&config.with_small_images(false).init(&Device::default()));
        assert_eq!(large.expect("layer4").shape().as_slice(), [2, 160, 1, 1]);
        assert_eq!(large.expect("layer1").shape().as_slice(), [2, 16, 5, 3]);
    }

    #[test]
    fn widths_that_leave_no_channel_are_refused() {
        let config = MobileNetV2Config::new([1, 8, 8], 4).with_small_images(true);
        for width in [0.0, -1.0, f64::NAN, 0.01, 1e9] {
            let error = config.clone().with_width(width).plan().unwrap_err();
            assert!(matches!(error, NetworkError::Width(_)), "{width}: {error}");
        }
        assert!(config.with_width(1.4).plan().is_ok());
    }
}
