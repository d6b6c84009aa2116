use super::conv::{ConvNorm, ConvShape, ConvWeights, small_linear};
use crate::layers::global_average;
use crate::stages::Staged;
use crate::{NetworkError, Plan, class_maps, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear};
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
/// let vgg8 = VggConfig::new(8, [3, 32, 32], 100).init(&Device::default());
///
/// assert_eq!(parameter_count(&vgg8), 3_965_028);
/// ```
#[derive(Config, Debug)]
pub struct VggConfig {
    /// The number of layers: 8, 11, 13, 16 or 19. They are counted as if two more linear layers
    /// preceded the classifier, as in the paper.
    pub depth: usize,
    /// The shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// The number of classes.
    pub classes: usize,
}

const KIND: &str = "VGG network";
const DEPTHS: &[usize] = &[8, 11, 13, 16, 19];

/// The channels of each of the five blocks.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

impl VggConfig {
    /// Initializes a [`Vgg`].
    ///
    /// # Panics
    ///
    /// Panics if there is no such depth, if a size is zero or enormous, or if the image is smaller
    /// than 8×8.
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
        let [.., features] = WIDTHS;
        Vgg {
            block0,
            block1,
            block2,
            block3,
            block4,
            shrink: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            classifier: small_linear([features, self.classes], device),
            input: self.input,
        }
    }

    /// Returns the layers, known without building them.
    ///
    /// # Errors
    ///
    /// Returns the error that [`init`](Self::init) would panic with.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        let mut plan = Plan::default();
        let mut shape = self.input;
        for (number, block) in self.blocks()?.into_iter().enumerate() {
            if shrinks_before(number, self.input[1]) {
                let [channels, height, width] = shape;
                shape = [channels, height / 2, width / 2];
            }
            for (index, layer) in block.into_iter().enumerate() {
                let name = format!("block{number}.{index}");
                shape = ConvNorm::plan(layer, &name, shape, &mut plan);
            }
        }
        let [features, ..] = shape;
        plan.linear("classifier", [features, self.classes]);
        Ok(plan)
    }

    /// The convolutions of each block, if all values are good.
    fn blocks(&self) -> Result<[Vec<ConvShape>; 5], NetworkError> {
        error::check_ends(KIND, self.input, [1, 8, 8], self.classes)?;
        let layers = match self.depth {
            8 => [1, 1, 1, 1, 1],
            11 => [1, 1, 2, 2, 2],
            13 => [2, 2, 2, 2, 2],
            16 => [2, 2, 3, 3, 3],
            19 => [2, 2, 4, 4, 4],
            depth => {
                return Err(NetworkError::UnknownDepth {
                    kind: KIND,
                    known: DEPTHS,
                    depth,
                });
            }
        };
        let [mut channels, ..] = self.input;
        Ok(std::array::from_fn(|block| {
            let width = WIDTHS[block];
            let layer = |_| ConvShape::new([std::mem::replace(&mut channels, width), width], 3);
            (0..layers[block]).map(layer).map(ConvShape::bias).collect()
        }))
    }
}

/// Whether a pooling precedes a block. Before the last block there is one only for images of a
/// height of 64, as in the original.
fn shrinks_before(block: usize, height: usize) -> bool {
    match block {
        0 => false,
        4 => height == 64,
        _ => true,
    }
}

/// VGG for small images: five blocks of 3×3 convolutions, each with batch normalization and ReLU;
/// max pooling between the blocks; the mean of each channel; a linear classifier.
///
/// | Tap | Kind | What |
/// | --- | --- | --- |
/// | `stem` | map | the first block |
/// | `layer1.pre` … `layer4.pre` | map | each other block before its last activation |
/// | `layer1` … `layer4` | map | each other block after its last activation, before the pooling |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of the last map |
/// | `pool` | vector | the mean of each channel of `layer4` |
///
/// They are the features that RepDistiller returns, in its order.
/// [`checkpoint`](crate::PublishedNetwork::checkpoint) lists its names of the tensors.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 64, height, width]`
/// - `layer1`: 128 channels at half the height and width, rounded down; `layer2`: 256 at a quarter;
///   `layer3` and `layer4`: 512 at an eighth
/// - `pool`: `[batch_size, 512]`
/// - response: `[batch_size, classes]`
///
/// Images of any size from 8×8 pass. For a height of 64 there is a pooling before `layer4` too, as in
/// the original.
///
/// # Panics
///
/// The forward pass panics if the images have another number of channels.
///
/// # Reference
///
/// K. Simonyan and A. Zisserman, [Very Deep Convolutional Networks for Large-Scale Image
/// Recognition](https://arxiv.org/abs/1409.1556), ICLR 2015. The form for small images, and the
/// depth of 8, are those of [Contrastive Representation
/// Distillation](https://arxiv.org/abs/1910.10699) (ICLR 2020): `models/vgg.py` of RepDistiller, with
/// batch normalization.
#[doc(alias = "VGG")]
#[derive(Module, Debug)]
pub struct Vgg {
    /// The first block, at full size.
    pub block0: Vec<ConvNorm>,
    /// The second block, at half the size.
    pub block1: Vec<ConvNorm>,
    /// The third block, at a quarter of the size.
    pub block2: Vec<ConvNorm>,
    /// The fourth block, at an eighth of the size.
    pub block3: Vec<ConvNorm>,
    /// The fifth block, at an eighth of the size.
    pub block4: Vec<ConvNorm>,
    /// The pooling between the blocks.
    pub shrink: MaxPool2d,
    /// The classifier.
    pub classifier: Linear,
    /// The shape of one image: channels, height, width.
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
        taps.offer("class-maps", || {
            Tap::Map(class_maps(map.clone(), &self.classifier))
        });
        let pool = global_average(map);
        taps.offer("pool", || Tap::Vector(pool.clone()));
        Response::Classes(self.classifier.forward(pool))
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
        let number = super::stage_before_activation(tap)?;
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
            if shrinks_before(number, height) {
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

/// The name of a layer in RepDistiller: its blocks are sequences of convolution, norm and ReLU.
pub(super) fn original_layer(ours: &str) -> String {
    let parts: Vec<_> = ours.split('.').collect();
    match parts[..] {
        [block, index, part] => {
            let index: usize = index.parse().unwrap_or_default();
            format!("{block}.{}", 3 * index + usize::from(part == "norm"))
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
            let config = VggConfig::new(8, [1, height, height], 3);
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
        let small = VggConfig::new(8, [3, 8, 7], 10).plan().unwrap_err();
        assert_eq!(
            small.to_string(),
            "an input [3, 8, 7] of [channels, height, width] is too small: a VGG network needs at \
             least [1, 8, 8]"
        );
        let depth = VggConfig::new(9, [3, 8, 8], 10).plan().unwrap_err();
        assert_eq!(
            depth.to_string(),
            "the depth of a VGG network should be one of [8, 11, 13, 16, 19], but is 9"
        );
    }

    #[test]
    fn the_classifier_starts_small_and_without_bias() {
        let vgg = VggConfig::new(8, [3, 8, 8], 40).init(&Device::default());

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
