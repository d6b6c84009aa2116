use crate::layers::{convolution, norm};
use crate::stages::{Block, Staged, forward_blocks, pooled, stages};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder, batch_norm};

/// Configuration to create a [`ResNet`] using the [init function](ResNetConfig::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::ResNetConfig;
/// use burn_distill_core::parameter_count;
///
/// let resnet8x4 = ResNetConfig::new(8, [3, 32, 32], 100)
///     .with_widths([32, 64, 128, 256])
///     .init(&Device::default());
///
/// assert_eq!(parameter_count(&resnet8x4), 1_233_540);
/// ```
#[derive(Config, Debug)]
pub struct ResNetConfig {
    /// Number of layers: 6n + 2, for n blocks in each of the three stages.
    pub depth: usize,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Numbers of channels of the stem and of the three stages. Default: 16, 16, 32, 64, as in the
    /// paper. The networks called ×4 have 32, 64, 128, 256.
    #[config(default = "[16, 16, 32, 64]")]
    pub widths: [usize; 4],
}

impl ResNetConfig {
    /// Creates a [`ResNet`].
    ///
    /// # Panics
    ///
    /// Panics if the depth is not 6n + 2, or if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> ResNet {
        let blocks = self.blocks().unwrap_or_else(|error| panic!("{error}"));
        let [channels, ..] = self.input;
        let [stem, .., features] = self.widths;
        let [layer1, layer2, layer3] = stages(self.widths, blocks).map(|stage| {
            let blocks = stage.into_iter();
            blocks.map(|block| BasicBlock::new(block, device)).collect()
        });
        ResNet {
            conv1: convolution([channels, stem], 3, 1, device),
            bn1: norm(stem, device),
            layer1,
            layer2,
            layer3,
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
        let blocks = self.blocks()?;
        let [stem, .., features] = self.widths;

        let mut plan = Plan::default();
        let mut shape = plan.convolution("conv1", self.input, stem, 3, 1);
        plan.norm("bn1", shape);
        for (stage, number) in stages(self.widths, blocks).into_iter().zip(1..) {
            for (index, block) in stage.into_iter().enumerate() {
                shape =
                    BasicBlock::plan(block, &format!("layer{number}.{index}"), shape, &mut plan);
            }
        }
        plan.linear("fc", [features, self.classes]);
        Ok(plan)
    }

    /// Checks all values and returns the number of blocks per stage.
    fn blocks(&self) -> Result<usize, NetworkError> {
        error::check_widths(&self.widths)?;
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)?;
        blocks_of_depth(self.depth)
    }
}

const KIND: &str = "residual network";

pub(crate) fn blocks_of_depth(depth: usize) -> Result<usize, NetworkError> {
    error::blocks_per_stage(KIND, "6n + 2", depth, 2)
}

/// Residual network (ResNet) for small images: a 3×3 stem, three stages of [basic
/// blocks](BasicBlock), global average pooling and a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution, normalized and activated |
/// | `layer1.pre`, `layer2.pre`, `layer3.pre` | map | each stage before its last activation |
/// | `layer1`, `layer2`, `layer3` | map | each stage after its last activation |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of the last map |
/// | `pool` | vector | the mean of each channel of `layer3` |
///
/// The order and the names of the tensors are those of the public checkpoints of [Contrastive
/// Representation Distillation](https://arxiv.org/abs/1910.10699) (Y. Tian, D. Krishnan and P.
/// Isola, ICLR 2020), which introduced the networks called ×4. The `weight` and `bias` of a
/// normalization there are `gamma` and `beta` here.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem` and `layer1`: `[batch_size, _, height, width]`
/// - `layer2`: half the height and width, rounding up; `layer3`: a quarter
/// - `pool`: `[batch_size, widths[3]]`
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
/// Recognition](https://arxiv.org/abs/1512.03385), CVPR 2016, section 4.2. In the paper, a shortcut
/// to another shape pads with zeros; here, as in most implementations, it is a 1×1 convolution.
#[derive(Module, Debug)]
pub struct ResNet {
    /// Convolution of the stem.
    pub conv1: Conv2d,
    /// Normalization of the stem.
    pub bn1: BatchNorm,
    /// First stage, at full size.
    pub layer1: Vec<BasicBlock>,
    /// Second stage, at half the size.
    pub layer2: Vec<BasicBlock>,
    /// Third stage, at a quarter of the size.
    pub layer3: Vec<BasicBlock>,
    /// Classifier.
    pub fc: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl Network for ResNet {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, 3, taps);
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
        let stage = match tap {
            "layer1.pre" => &self.layer1,
            "layer2.pre" => &self.layer2,
            "layer3.pre" => &self.layer3,
            _ => return None,
        };
        stage.last().map(|block| block.bn2.clone())
    }
}

impl Staged for ResNet {
    fn stage_count(&self) -> usize {
        3
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let map = relu(batch_norm(&self.bn1, self.conv1.forward(input)));
        taps.offer("stem", || Tap::Map(map.clone()));
        let stages = [&self.layer1[..], &self.layer2, &self.layer3];
        let stages = stages.into_iter().take(last);
        forward_blocks(map, stages, BasicBlock::forward_pre, taps)
    }
}

/// A block of a [`ResNet`]: two 3×3 convolutions, whose output is added to the input.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// First convolution, which may shrink the map.
    pub conv1: Conv2d,
    /// Normalization of the first convolution.
    pub bn1: BatchNorm,
    /// Second convolution.
    pub conv2: Conv2d,
    /// Normalization of the second convolution.
    pub bn2: BatchNorm,
    /// Projection of the shortcut, if the shapes of input and output differ.
    pub downsample: Option<(Conv2d, BatchNorm)>,
}

impl BasicBlock {
    fn new(block: Block, device: &Device) -> Self {
        let [_, outputs] = block.channels;
        Self {
            conv1: convolution(block.channels, 3, block.stride, device),
            bn1: norm(outputs, device),
            conv2: convolution([outputs, outputs], 3, 1, device),
            bn2: norm(outputs, device),
            downsample: block.projects().then(|| {
                let conv = convolution(block.channels, 1, block.stride, device);
                (conv, norm(outputs, device))
            }),
        }
    }

    fn plan(block: Block, name: &str, input: [usize; 3], plan: &mut Plan) -> [usize; 3] {
        let [_, outputs] = block.channels;
        let shape = plan.convolution(format!("{name}.conv1"), input, outputs, 3, block.stride);
        plan.norm(format!("{name}.bn1"), shape);
        plan.convolution(format!("{name}.conv2"), shape, outputs, 3, 1);
        plan.norm(format!("{name}.bn2"), shape);
        if block.projects() {
            let name = format!("{name}.downsample");
            plan.convolution(format!("{name}.0"), input, outputs, 1, block.stride);
            plan.norm(format!("{name}.1"), shape);
        }
        shape
    }

    /// Applies the block without its last activation.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / stride, width / stride]`
    pub fn forward_pre(&self, input: Tensor<4>) -> Tensor<4> {
        let residual = relu(batch_norm(&self.bn1, self.conv1.forward(input.clone())));
        let residual = batch_norm(&self.bn2, self.conv2.forward(residual));
        let shortcut = match &self.downsample {
            Some((conv, norm)) => batch_norm(norm, conv.forward(input)),
            None => input,
        };
        shortcut.add(residual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn_distill_core::{TapSelection, known_taps};

    #[test]
    fn images_of_another_size_are_supported() {
        let device = Device::default();
        let resnet = ResNetConfig::new(8, [1, 28, 28], 10).init(&device);
        let input = Tensor::random([1, 1, 9, 14], Distribution::Default, &device);

        let knowledge = resnet.forward_knowledge(input, &TapSelection::named(["layer3", "pool"]));

        let shape = |name| knowledge.taps.get(name).unwrap().shape();
        assert_eq!(knowledge.taps.len(), 2);
        assert_eq!(shape("layer3").as_slice(), [1, 64, 3, 4]);
        assert_eq!(shape("pool").as_slice(), [1, 64]);
        assert_eq!(knowledge.response.classes().unwrap().dims(), [1, 10]);
    }

    #[test]
    fn taps_are_in_the_order_of_the_forward_pass() {
        let resnet = ResNetConfig::new(8, [3, 8, 8], 10).init(&Device::default());

        let taps = known_taps(&resnet);
        let names: Vec<_> = taps.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "stem",
                "layer1.pre",
                "layer1",
                "layer2.pre",
                "layer2",
                "layer3.pre",
                "layer3",
                "class-maps",
                "pool"
            ]
        );
    }

    #[test]
    fn stages_of_the_same_width_also_shrink() {
        let config = ResNetConfig::new(8, [1, 8, 8], 10).with_widths([4; 4]);

        let taps = known_taps(&config.init(&Device::default()));
        assert_eq!(taps.get("layer3").unwrap().shape().as_slice(), [2, 4, 2, 2]);
        let plan = config.plan().unwrap();
        let shortcuts = plan
            .layers
            .iter()
            .filter(|layer| layer.name.ends_with("downsample.0"));
        assert_eq!(shortcuts.count(), 2);
    }

    #[test]
    #[should_panic(expected = "no tap named `layer4`, did you mean `layer3`?")]
    fn a_fourth_stage_is_refused() {
        let device = Device::default();
        let resnet = ResNetConfig::new(8, [3, 8, 8], 10).init(&device);
        let selection = TapSelection::named(["layer4"]);
        resnet.forward_knowledge(resnet.example(1, &device), &selection);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(input, [_, channels, _, _]): axis 1 expected 3")]
    fn gray_images_are_refused_by_a_network_for_colors() {
        let device = Device::default();
        let resnet = ResNetConfig::new(8, [3, 8, 8], 10).init(&device);
        resnet.forward(Tensor::zeros([1, 1, 8, 8], &device));
    }

    #[test]
    #[should_panic(expected = "should be 6n + 2 up to 10000, but is 18")]
    fn a_depth_that_is_not_6n_plus_2_is_refused() {
        ResNetConfig::new(18, [3, 32, 32], 10).init(&Device::default());
    }

    #[test]
    fn convolutions_start_normal_with_the_variance_of_he() {
        let resnet = ResNetConfig::new(8, [3, 32, 32], 10).init(&Device::default());

        let weight = resnet.layer3[0].conv1.weight.val();
        let (variance, mean) = weight.reshape([-1]).var_mean(0);
        // 2 / (3² · 64), from the 64 output channels and not the 32 input channels. The standard
        // error of the variance of 18 432 draws is 1 %.
        let ratio = variance.into_scalar::<f32>() * 9.0 * 64.0 / 2.0;
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
        assert!(mean.into_scalar::<f32>().abs() < 2e-3);
    }
}
