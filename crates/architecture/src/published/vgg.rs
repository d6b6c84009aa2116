use super::conv::{ConvNorm, small_linear};
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::stages::stage_before_activation;
use crate::stages::{Staged, pooled};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// Configuration to create a [`Vgg`] using the [init function](VggConfig::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::VggConfig;
/// use burn_distill_core::parameter_count;
///
/// let vgg8 = VggConfig::new(8, [3, 32, 32], 100)
///     .with_small_images(true)
///     .init(&Device::default());
///
/// assert_eq!(parameter_count(&vgg8), 3_965_028);
/// ```
#[derive(Config, Debug)]
pub struct VggConfig {
    /// Number of layers: 11, 13, 16 or 19, or 8 for small images. It includes two hidden layers
    /// before the classifier, even for small images, which have none.
    pub depth: usize,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Whether the network is RepDistiller's variant for images of 32×32 pixels, instead of
    /// torchvision's for images of 224×224.
    ///
    /// The variant for small images shrinks them by 8 instead of 32, and has neither hidden layers
    /// nor dropout.
    #[config(default = false)]
    pub small_images: bool,
}

const KIND: &str = "VGG network";
const DEPTHS: &[usize] = &[11, 13, 16, 19];
const DEPTHS_FOR_SMALL_IMAGES: &[usize] = &[8, 11, 13, 16, 19];

/// Channels of each of the five blocks.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

/// Height and width of the map before the hidden layers, and number of features of the hidden
/// layers.
const POOLED: usize = 7;
const HIDDEN: usize = 4096;

/// Returns the number of convolutions of each block.
fn layers_of(depth: usize) -> Option<[usize; 5]> {
    match depth {
        8 => Some([1, 1, 1, 1, 1]),
        11 => Some([1, 1, 2, 2, 2]),
        13 => Some([2, 2, 2, 2, 2]),
        16 => Some([2, 2, 3, 3, 3]),
        19 => Some([2, 2, 4, 4, 4]),
        _ => None,
    }
}

impl VggConfig {
    /// Creates a [`Vgg`].
    ///
    /// # Panics
    ///
    /// Panics if the depth is not supported, if a size is zero or above 65,536, or if the image is
    /// smaller than 32×32, or 8×8 for small images.
    pub fn init(&self, device: &Device) -> Vgg {
        let [block0, block1, block2, block3, block4] = self
            .blocks()
            .unwrap_or_else(|error| panic!("{error}"))
            .map(|block| {
                let layers = block.into_iter();
                layers
                    .map(|shape| ConvNorm::new(shape, ConvWeights::He, device))
                    .collect()
            });
        let (hidden, classifier) = self.linear_layers();
        let linear = |features| small_linear(features, device);
        Vgg {
            block0,
            block1,
            block2,
            block3,
            block4,
            shrink: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            average: (!self.small_images)
                .then(|| AdaptiveAvgPool2dConfig::new([POOLED, POOLED]).init()),
            hidden: hidden.into_iter().map(linear).collect(),
            dropout: DropoutConfig::new(0.5).init(),
            classifier: linear(classifier),
            input: self.input,
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error where [`init`](Self::init) would panic.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        let mut plan = Plan::default();
        let mut shape = self.input;
        for (number, block) in self.blocks()?.into_iter().enumerate() {
            if shrinks_before(number, self.input[1], self.small_images) {
                let [channels, height, width] = shape;
                shape = [channels, height / 2, width / 2];
            }
            for (index, layer) in block.into_iter().enumerate() {
                let name = format!("block{number}.{index}");
                shape = ConvNorm::plan(layer, &name, shape, &mut plan);
            }
        }
        let (hidden, classifier) = self.linear_layers();
        for (index, features) in hidden.into_iter().enumerate() {
            plan.linear(format!("hidden.{index}"), features);
        }
        plan.linear("classifier", classifier);
        Ok(plan)
    }

    /// Returns the numbers of input and output features of the hidden layers and of the classifier.
    fn linear_layers(&self) -> (Vec<[usize; 2]>, [usize; 2]) {
        let [.., features] = WIDTHS;
        match self.small_images {
            true => (Vec::new(), [features, self.classes]),
            false => {
                let hidden = vec![[features * POOLED * POOLED, HIDDEN], [HIDDEN, HIDDEN]];
                (hidden, [HIDDEN, self.classes])
            }
        }
    }

    /// Checks all values and returns the convolutions of each block.
    fn blocks(&self) -> Result<[Vec<ConvShape>; 5], NetworkError> {
        let (least, known) = match self.small_images {
            true => (8, DEPTHS_FOR_SMALL_IMAGES),
            false => (32, DEPTHS),
        };
        error::check_ends(KIND, self.input, [1, least, least], self.classes)?;
        let depth = self.depth;
        let layers = layers_of(depth).filter(|_| known.contains(&depth));
        let layers = layers.ok_or(NetworkError::UnknownDepth {
            kind: KIND,
            known,
            depth,
        })?;
        let [mut channels, ..] = self.input;
        Ok(std::array::from_fn(|block| {
            let width = WIDTHS[block];
            let layer = |_| ConvShape::new([std::mem::replace(&mut channels, width), width], 3);
            (0..layers[block]).map(layer).map(ConvShape::bias).collect()
        }))
    }
}

/// Returns whether a pooling precedes a block. For small images there is none before the last block
/// unless the height is 64, as in the original.
fn shrinks_before(block: usize, height: usize, small_images: bool) -> bool {
    match block {
        0 => false,
        4 => !small_images || height == 64,
        _ => true,
    }
}

/// VGG: five blocks of 3×3 convolutions, each with batch normalization and ReLU; max pooling
/// between the blocks; then, for small images, global average pooling and a linear classifier, or
/// otherwise a pooling to 7×7, two hidden layers with dropout and a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first block |
/// | `layer1.pre` … `layer4.pre` | map | each other block before its last activation |
/// | `layer1` … `layer4` | map | each other block after its last activation, before the pooling |
/// | `class-maps` | map | for small images: the [classifier at every pixel](crate::class_maps) of the last map |
/// | `hidden.1.pre`, `hidden.1`, `hidden.2.pre` | vector | except for small images: the hidden layers before and after their activation |
/// | `pool` | vector | for small images the mean of each channel of `layer4`, otherwise the second hidden layer after its activation |
///
/// For small images, the taps are the features that RepDistiller returns, in the same order.
/// [`checkpoint`](crate::PublishedNetwork::checkpoint) lists the original names of the tensors.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 64, height, width]`
/// - `layer1`: 128 channels at half the height and width, rounded down; `layer2`: 256 at a quarter;
///   `layer3`: 512 at an eighth; `layer4`: 512 at a sixteenth, for small images at an eighth
/// - `pool`: `[batch_size, 512]` for small images, else `[batch_size, 4096]`
/// - response: `[batch_size, classes]`
///
/// Images of any size from 32×32 pixels, or 8×8 for small images, are supported. In the variant for
/// small images, there is also a pooling before `layer4` if the height is 64, as in the original.
///
/// # Panics
///
/// The forward pass panics if the images have another number of channels.
///
/// # Reference
///
/// K. Simonyan and A. Zisserman, [Very Deep Convolutional Networks for Large-Scale Image
/// Recognition](https://arxiv.org/abs/1409.1556), ICLR 2015; with batch normalization, as in
/// `vgg16_bn` of torchvision. The variant for small images and the depth of 8 are those of
/// [Contrastive Representation Distillation](https://arxiv.org/abs/1910.10699) (ICLR 2020):
/// `models/vgg.py` of RepDistiller.
#[doc(alias = "VGG")]
#[derive(Module, Debug)]
pub struct Vgg {
    /// First block, at full size.
    pub block0: Vec<ConvNorm>,
    /// Second block, at half the size.
    pub block1: Vec<ConvNorm>,
    /// Third block, at a quarter of the size.
    pub block2: Vec<ConvNorm>,
    /// Fourth block, at an eighth of the size.
    pub block3: Vec<ConvNorm>,
    /// Fifth block, at a sixteenth of the size, for small images at an eighth.
    pub block4: Vec<ConvNorm>,
    /// Pooling between the blocks and before the hidden layers.
    pub shrink: MaxPool2d,
    /// Pooling to 7×7 before the hidden layers; `None` for small images.
    pub average: Option<AdaptiveAvgPool2d>,
    /// Hidden layers; empty for small images.
    pub hidden: Vec<Linear>,
    /// Dropout after each hidden layer.
    pub dropout: Dropout,
    /// Classifier.
    pub classifier: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl Vgg {
    fn blocks(&self) -> [&[ConvNorm]; 5] {
        [
            &self.block0,
            &self.block1,
            &self.block2,
            &self.block3,
            &self.block4,
        ]
    }
}

impl Network for Vgg {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, 4, taps);
        let Some(average) = &self.average else {
            let pool = pooled(map, &self.classifier, taps);
            return Response::Classes(self.classifier.forward(pool));
        };
        let mut features: Tensor<2> = average.forward(self.shrink.forward(map)).flatten(1, 3);
        for (number, hidden) in (1..).zip(&self.hidden) {
            let pre = hidden.forward(features);
            taps.offer(format!("hidden.{number}.pre"), || Tap::Vector(pre.clone()));
            let active = relu(pre);
            match number < self.hidden.len() {
                true => taps.offer(format!("hidden.{number}"), || Tap::Vector(active.clone())),
                false => taps.offer("pool", || Tap::Vector(active.clone())),
            }
            features = self.dropout.forward(active);
        }
        Response::Classes(self.classifier.forward(features))
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
        let number = stage_before_activation(tap)?;
        let [_, stages @ ..] = self.blocks();
        let block = stages.into_iter().nth(number.checked_sub(1)?)?;
        block.last().map(|layer| layer.norm.clone())
    }
}

impl Staged for Vgg {
    fn stage_count(&self) -> usize {
        4
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);
        let [_, _, height, _] = input.dims();

        let mut map = input;
        for (number, block) in self.blocks().into_iter().take(last + 1).enumerate() {
            if shrinks_before(number, height, self.average.is_none()) {
                map = self.shrink.forward(map);
            }
            for (index, layer) in block.iter().enumerate() {
                let pre = layer.forward(map);
                if number > 0 && index + 1 == block.len() {
                    taps.offer(format!("layer{number}.pre"), || Tap::Map(pre.clone()));
                }
                map = relu(pre);
            }
            match number {
                0 => taps.offer("stem", || Tap::Map(map.clone())),
                _ => taps.offer(format!("layer{number}"), || Tap::Map(map.clone())),
            }
        }
        map
    }
}

/// Returns the name of a layer in RepDistiller, whose blocks are sequences of convolution,
/// normalization and ReLU.
pub(super) fn name_in_repdistiller(ours: &str) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    match parts[..] {
        [block, index, part] => {
            let index: usize = index.parse().unwrap_or_default();
            format!("{block}.{}", 3 * index + usize::from(part == "norm"))
        }
        _ => ours.to_string(),
    }
}

/// Returns the name of a layer in torchvision, which has one sequence of convolutions,
/// normalizations, activations and poolings, and one of linear layers, activations and dropouts.
pub(super) fn name_in_torchvision(ours: &str, depth: usize) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    let parse = |number: &str| number.parse::<usize>().unwrap_or_default();
    match parts[..] {
        ["hidden", index] => format!("classifier.{}", 3 * parse(index)),
        ["classifier"] => "classifier.6".into(),
        [block, index, part] => {
            let block = parse(block.trim_start_matches("block"));
            let layers = layers_of(depth).unwrap_or_default();
            let before = layers[..block].iter().sum::<usize>() + parse(index);
            let place = 3 * before + block + usize::from(part == "norm");
            format!("features.{place}")
        }
        _ => ours.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::known_taps;

    #[test]
    fn images_of_64_pixels_are_pooled_once_more() {
        let device = Device::default();
        for (height, expected) in [(32, 4), (48, 6), (64, 4)] {
            let config = VggConfig::new(8, [1, height, height], 3).with_small_images(true);
            let taps = known_taps(&config.init(&device));
            let shape = taps.expect("layer4").shape();
            assert_eq!(shape.as_slice(), [2, 512, expected, expected]);
            let plan = config.plan().unwrap();
            let last = plan
                .layers
                .iter()
                .find(|layer| layer.name == "block4.0.norm");
            assert_eq!(last.unwrap().output, [512, expected, expected]);
        }
    }

    #[test]
    fn smaller_images_and_other_depths_are_refused() {
        let small = VggConfig::new(8, [3, 8, 7], 10).with_small_images(true);
        let small = small.plan().unwrap_err();
        assert_eq!(
            small.to_string(),
            "an input [3, 8, 7] of [channels, height, width] is too small: a VGG network needs at \
             least [1, 8, 8]"
        );
        let large = VggConfig::new(16, [3, 32, 31], 10).plan().unwrap_err();
        assert!(large.to_string().ends_with("at least [1, 32, 32]"));
        let config = VggConfig::new(9, [3, 32, 32], 10).with_small_images(true);
        assert_eq!(
            config.plan().unwrap_err().to_string(),
            "the depth of a VGG network should be one of [8, 11, 13, 16, 19], but is 9"
        );
        let config = VggConfig::new(8, [3, 32, 32], 10);
        assert_eq!(
            config.plan().unwrap_err().to_string(),
            "the depth of a VGG network should be one of [11, 13, 16, 19], but is 8"
        );
    }

    #[test]
    fn the_classifier_starts_small_and_without_bias() {
        let config = VggConfig::new(8, [3, 8, 8], 40).with_small_images(true);
        let vgg = config.init(&Device::default());

        let weight = vgg.classifier.weight.val().reshape([-1]);
        let (variance, _) = weight.var_mean(0);
        // 20 480 draws: 1 %.
        assert!((variance.into_scalar::<f32>() / 1e-4 - 1.0).abs() < 0.05);
        let bias = vgg.classifier.bias.unwrap().val().abs().max();
        assert_eq!(bias.into_scalar::<f32>(), 0.0);
        let bias = vgg.block4[0].conv.bias.as_ref().unwrap().val().abs().max();
        assert_eq!(bias.into_scalar::<f32>(), 0.0);
    }
}
