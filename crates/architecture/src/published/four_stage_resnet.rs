use crate::branched::Branching;
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::layers::{global_average, norm};
use crate::stages::{Block, Staged};
use crate::stages::{forward_blocks, pooled, stage_before_activation};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder, batch_norm};

/// Configuration to create a [`FourStageResNet`] using the [init
/// function](FourStageResNetConfig::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::FourStageResNetConfig;
/// use burn_distill_core::parameter_count;
///
/// let resnet18 = FourStageResNetConfig::new(18, [3, 224, 224], 1000).init(&Device::default());
///
/// assert_eq!(parameter_count(&resnet18), 11_689_512);
/// ```
#[derive(Config, Debug)]
pub struct FourStageResNetConfig {
    /// Number of layers: 18 or 34 with basic blocks, or 50, 101 or 152 with bottleneck blocks.
    pub depth: usize,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Whether the stem is a 3×3 convolution at full size, for images of about 32×32, instead of a
    /// 7×7 convolution and max pooling that shrink by 4.
    #[config(default = false)]
    pub small_images: bool,
}

const KIND: &str = "residual network of four stages";
const DEPTHS: &[usize] = &[18, 34, 50, 101, 152];
const STEM: usize = 64;

/// Ratio of the output channels of a bottleneck block to the channels of its 3×3 convolution.
const EXPANSION: usize = 4;

/// Shape of a block. Its channels are the output channels of its 3×3 convolution.
#[derive(Clone, Copy)]
struct BlockShape {
    block: Block,
    middle: usize,
}

impl BlockShape {
    /// Returns its two or three convolutions.
    fn convolutions(self) -> Vec<ConvShape> {
        let Block {
            channels: [inputs, outputs],
            stride,
        } = self.block;
        let middle = self.middle;
        match middle == outputs {
            true => vec![
                ConvShape::new([inputs, outputs], 3).stride(stride),
                ConvShape::new([outputs, outputs], 3),
            ],
            false => vec![
                ConvShape::new([inputs, middle], 1),
                ConvShape::new([middle, middle], 3).stride(stride),
                ConvShape::new([middle, outputs], 1),
            ],
        }
    }

    fn downsample(self) -> Option<ConvShape> {
        let Block { channels, stride } = self.block;
        let shape = ConvShape::new(channels, 1).stride(stride);
        self.block.projects().then_some(shape)
    }
}

impl FourStageResNetConfig {
    /// Creates a [`FourStageResNet`].
    ///
    /// # Panics
    ///
    /// Panics if the depth is not supported, or if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> FourStageResNet {
        let stages = self.stages().unwrap_or_else(|error| panic!("{error}"));
        let features = stages[3][0].block.channels[1];
        let [layer1, layer2, layer3, layer4] = stages.map(|stage| {
            let blocks = stage.into_iter();
            blocks
                .map(|shape| ResidualBlock::new(shape, device))
                .collect()
        });
        FourStageResNet {
            conv1: self.stem().init(ConvWeights::He, device),
            bn1: norm(STEM, device),
            shrink: (!self.small_images).then(|| {
                MaxPool2dConfig::new([3, 3])
                    .with_strides([2, 2])
                    .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                    .init()
            }),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: LinearConfig::new(features, self.classes).init(device),
            input: self.input,
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error where [`init`](Self::init) would panic.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        let stages = self.stages()?;
        let mut plan = Plan::default();
        let mut shape = plan.convolution_of("conv1", self.input, self.stem());
        plan.norm("bn1", shape);
        if !self.small_images {
            let [channels, height, width] = shape;
            shape = [channels, height.div_ceil(2), width.div_ceil(2)];
        }
        for (stage, number) in stages.into_iter().zip(1..) {
            for (index, block) in stage.into_iter().enumerate() {
                let name = format!("layer{number}.{index}");
                let input = shape;
                for (conv, part) in block.convolutions().into_iter().zip(1..) {
                    shape = plan.convolution_of(format!("{name}.conv{part}"), shape, conv);
                    plan.norm(format!("{name}.bn{part}"), shape);
                }
                if let Some(downsample) = block.downsample() {
                    plan.convolution_of(format!("{name}.downsample.0"), input, downsample);
                    plan.norm(format!("{name}.downsample.1"), shape);
                }
            }
        }
        let [features, ..] = shape;
        plan.linear("fc", [features, self.classes]);
        Ok(plan)
    }

    fn stem(&self) -> ConvShape {
        let [channels, ..] = self.input;
        match self.small_images {
            true => ConvShape::new([channels, STEM], 3),
            false => ConvShape::new([channels, STEM], 7).stride(2),
        }
    }

    /// Checks all values and returns the blocks of each stage.
    fn stages(&self) -> Result<[Vec<BlockShape>; 4], NetworkError> {
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)?;
        let (blocks, expansion) = match self.depth {
            18 => ([2, 2, 2, 2], 1),
            34 => ([3, 4, 6, 3], 1),
            50 => ([3, 4, 6, 3], EXPANSION),
            101 => ([3, 4, 23, 3], EXPANSION),
            152 => ([3, 8, 36, 3], EXPANSION),
            depth => {
                return Err(NetworkError::UnknownDepth {
                    kind: KIND,
                    known: DEPTHS,
                    depth,
                });
            }
        };
        let mut inputs = STEM;
        Ok(std::array::from_fn(|stage| {
            let middle = STEM << stage;
            let outputs = middle * expansion;
            let block = |index| BlockShape {
                block: Block {
                    channels: [std::mem::replace(&mut inputs, outputs), outputs],
                    stride: if index == 0 && stage > 0 { 2 } else { 1 },
                },
                middle,
            };
            (0..blocks[stage]).map(block).collect()
        }))
    }
}

/// Residual network (ResNet) of four stages, as in torchvision: a stem, four stages of
/// [blocks](ResidualBlock), global average pooling and a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution, normalized and activated, before the pooling |
/// | `layer1.pre` … `layer4.pre` | map | each stage before its last activation |
/// | `layer1` … `layer4` | map | each stage after its last activation |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of the last map |
/// | `pool` | vector | the mean of each channel of `layer4` |
///
/// The names of the tensors are those of torchvision. The `weight` and `bias` of a normalization
/// there are `gamma` and `beta` here; in RepDistiller, `downsample` is `shortcut` and `fc` is
/// `linear`. The taps are the features that RepDistiller returns, in the same order.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 64, height / 2, width / 2]`, rounded up; at full size for small images
/// - `layer1`: a quarter of the height and width; each later stage has half the size of the
///   previous one. The numbers of channels are 64, 128, 256 and 512, or four times these for a
///   depth of 50 or more.
/// - `pool`: `[batch_size, channels of layer4]`
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
/// K. He, X. Zhang, S. Ren and J. Sun, [Deep Residual Learning for Image
/// Recognition](https://arxiv.org/abs/1512.03385), CVPR 2016, table 1. As in torchvision, the 3×3
/// convolution of a bottleneck block shrinks the map; in the paper, the first 1×1 convolution does.
/// The variant for small images is `models/resnetv2.py` of RepDistiller.
#[derive(Module, Debug)]
pub struct FourStageResNet {
    /// Convolution of the stem.
    pub conv1: Conv2d,
    /// Normalization of the stem.
    pub bn1: BatchNorm,
    /// Max pooling of the stem; `None` for small images.
    pub shrink: Option<MaxPool2d>,
    /// First stage.
    pub layer1: Vec<ResidualBlock>,
    /// Second stage, at half the size of the first.
    pub layer2: Vec<ResidualBlock>,
    /// Third stage, at a quarter of the size of the first.
    pub layer3: Vec<ResidualBlock>,
    /// Fourth stage, at an eighth of the size of the first.
    pub layer4: Vec<ResidualBlock>,
    /// Classifier.
    pub fc: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl FourStageResNet {
    fn stages(&self) -> [&[ResidualBlock]; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }
}

impl Network for FourStageResNet {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, 4, taps);
        let pool = pooled(map, &self.fc, taps);
        Response::Classes(self.fc.forward(pool))
    }

    fn forward_to(&self, input: Tensor<4>, tap: &str) -> Tap {
        self.forward_to_stage(input, tap)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.input;
        Tensor::zeros([samples, channels, height, width], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.fc.clone())
    }

    fn normalization(&self, tap: &str) -> Option<BatchNorm> {
        let number = stage_before_activation(tap)?;
        let stage = self.stages().into_iter().nth(number.checked_sub(1)?)?;
        let last = stage.last()?;
        Some(last.bn3.as_ref().unwrap_or(&last.bn2).clone())
    }
}

impl Staged for FourStageResNet {
    fn stage_count(&self) -> usize {
        4
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let mut map = relu(batch_norm(&self.bn1, self.conv1.forward(input)));
        taps.offer("stem", || Tap::Map(map.clone()));
        if let Some(pool) = &self.shrink {
            map = pool.forward(map);
        }
        let stages = self.stages().into_iter().take(last);
        forward_blocks(map, stages, ResidualBlock::forward_pre, taps)
    }
}

/// A block of a [`FourStageResNet`]: two 3×3 convolutions, or a 3×3 convolution between two of 1×1,
/// whose output is added to the input.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// First convolution.
    pub conv1: Conv2d,
    /// Normalization after `conv1`.
    pub bn1: BatchNorm,
    /// Second convolution.
    pub conv2: Conv2d,
    /// Normalization after `conv2`.
    pub bn2: BatchNorm,
    /// Third convolution; `None` in a basic block.
    pub conv3: Option<Conv2d>,
    /// Normalization after `conv3`.
    pub bn3: Option<BatchNorm>,
    /// Projection of the shortcut, if the shapes of input and output differ.
    pub downsample: Option<(Conv2d, BatchNorm)>,
}

impl ResidualBlock {
    fn new(shape: BlockShape, device: &Device) -> Self {
        let convolutions = shape.convolutions();
        let layer = |shape: &ConvShape| {
            let conv = shape.init(ConvWeights::He, device);
            (conv, norm(shape.channels[1], device))
        };
        let (conv1, bn1) = layer(&convolutions[0]);
        let (conv2, bn2) = layer(&convolutions[1]);
        let (conv3, bn3) = convolutions.get(2).map(layer).unzip();
        Self {
            conv1,
            bn1,
            conv2,
            bn2,
            conv3,
            bn3,
            downsample: shape.downsample().as_ref().map(layer),
        }
    }

    /// Applies the block without its last activation.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / stride, width / stride]`, rounded up
    pub fn forward_pre(&self, input: Tensor<4>) -> Tensor<4> {
        let residual = relu(batch_norm(&self.bn1, self.conv1.forward(input.clone())));
        let residual = batch_norm(&self.bn2, self.conv2.forward(residual));
        let residual = match (&self.conv3, &self.bn3) {
            (Some(conv), Some(norm)) => batch_norm(norm, conv.forward(relu(residual))),
            _ => residual,
        };
        let shortcut = match &self.downsample {
            Some((conv, norm)) => batch_norm(norm, conv.forward(input)),
            None => input,
        };
        shortcut.add(residual)
    }
}

/// Branch of a [`FourStageResNet`]: its last stage and the classifier.
#[derive(Module, Debug)]
pub struct FourStageBranch {
    /// Last stage.
    pub layer4: Vec<ResidualBlock>,
    /// Classifier.
    pub fc: Linear,
}

impl Branching for FourStageResNet {
    type Branch = FourStageBranch;

    fn trunk(&self) -> String {
        "layer3".into()
    }

    fn branch(&self) -> FourStageBranch {
        FourStageBranch {
            layer4: self.layer4.clone(),
            fc: self.fc.clone(),
        }
    }

    fn forward_branch(branch: &FourStageBranch, trunk: Tensor<4>) -> Tensor<2> {
        let blocks = branch.layer4.iter();
        let map = blocks.fold(trunk, |map, block| relu(block.forward_pre(map)));
        branch.fc.forward(global_average(map))
    }
}

/// Returns the name of a layer in RepDistiller.
pub(super) fn name_in_repdistiller(ours: &str) -> String {
    match ours {
        "fc" => "linear".into(),
        _ => ours.replace("downsample", "shortcut"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BranchedNetwork;
    use burn_distill_core::known_taps;

    #[test]
    fn taps_in_the_order_of_the_forward_pass() {
        let config = FourStageResNetConfig::new(18, [1, 36, 20], 4);
        let taps = known_taps(&config.init(&Device::default()));

        let found: Vec<_> = taps
            .iter()
            .map(|(name, tap)| (name, tap.shape().as_slice().to_vec()))
            .collect();
        assert_eq!(
            found,
            [
                ("stem", vec![2, 64, 18, 10]),
                ("layer1.pre", vec![2, 64, 9, 5]),
                ("layer1", vec![2, 64, 9, 5]),
                ("layer2.pre", vec![2, 128, 5, 3]),
                ("layer2", vec![2, 128, 5, 3]),
                ("layer3.pre", vec![2, 256, 3, 2]),
                ("layer3", vec![2, 256, 3, 2]),
                ("layer4.pre", vec![2, 512, 2, 1]),
                ("layer4", vec![2, 512, 2, 1]),
                ("class-maps", vec![2, 4, 2, 1]),
                ("pool", vec![2, 512]),
            ]
        );
    }

    #[test]
    fn they_branch_before_their_last_stage() {
        let device = Device::default();
        let config = FourStageResNetConfig::new(18, [1, 8, 8], 5).with_small_images(true);
        let networks = [config.init(&device), config.init(&device)];
        let second = networks[1].clone();

        let taps = known_taps(&BranchedNetwork::new(networks));

        let trunk = taps.expect("trunk").into_map();
        assert_eq!(trunk.dims(), [2, 256, 2, 2]);
        let expected = FourStageResNet::forward_branch(&second.valid().branch(), trunk);
        let found = taps.expect("branch2").into_vectors().into_data();
        found.assert_eq(&expected.into_data(), true);
    }

    #[test]
    #[should_panic(expected = "should be one of [18, 34, 50, 101, 152], but is 20")]
    fn depth_must_be_one_of_the_paper() {
        FourStageResNetConfig::new(20, [3, 32, 32], 10).init(&Device::default());
    }
}
