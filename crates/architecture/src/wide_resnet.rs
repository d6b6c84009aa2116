use crate::layers::{convolution, norm};
use crate::stages::{Block, Staged, pooled, stages};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Initializer, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder, batch_norm};

/// Configuration to create a [`WideResNet`] using the [init function](WideResNetConfig::init).
#[derive(Config, Debug)]
pub struct WideResNetConfig {
    /// Number of layers: 6n + 4, for n blocks in each of the three stages.
    pub depth: usize,
    /// Factor of the widths of the stages, which are 16, 32 and 64 channels.
    pub widen: usize,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

impl WideResNetConfig {
    /// Creates a [`WideResNet`].
    ///
    /// # Panics
    ///
    /// Panics if the depth is not 6n + 4, or if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> WideResNet {
        let (blocks, widths) = self.blocks().unwrap_or_else(|error| panic!("{error}"));
        let [channels, ..] = self.input;
        let [stem, .., features] = widths;
        let [block1, block2, block3] = stages(widths, blocks).map(|stage| WideStage {
            layer: stage
                .into_iter()
                .map(|block| WideBlock::new(block, device))
                .collect(),
        });
        let mut fc = LinearConfig::new(features, self.classes).init(device);
        fc.bias = Some(Initializer::Zeros.init([self.classes], device));
        WideResNet {
            conv1: convolution([channels, stem], 3, 1, device),
            block1,
            block2,
            block3,
            bn1: norm(features, device),
            fc,
            input: self.input,
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error where [`init`](Self::init) would panic.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        let (blocks, widths) = self.blocks()?;
        let [stem, .., features] = widths;

        let mut plan = Plan::default();
        let mut shape = plan.convolution("conv1", self.input, stem, 3, 1);
        for (stage, number) in stages(widths, blocks).into_iter().zip(1..) {
            for (index, block) in stage.into_iter().enumerate() {
                let name = format!("block{number}.layer.{index}");
                shape = WideBlock::plan(block, &name, shape, &mut plan);
            }
        }
        plan.norm("bn1", shape);
        plan.linear("fc", [features, self.classes]);
        Ok(plan)
    }

    /// Checks all values and returns the number of blocks per stage and the widths.
    fn blocks(&self) -> Result<(usize, [usize; 4]), NetworkError> {
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)?;
        blocks_and_widths(self.depth, self.widen)
    }
}

const KIND: &str = "wide residual network";

pub(crate) fn blocks_and_widths(
    depth: usize,
    widen: usize,
) -> Result<(usize, [usize; 4]), NetworkError> {
    error::check_widths(&[widen])?;
    let widths = [16, 16 * widen, 32 * widen, 64 * widen];
    error::check_widths(&widths)?;
    let blocks = error::blocks_per_stage(KIND, "6n + 4", depth, 4)?;
    Ok((blocks, widths))
}

/// Returns the name of a layer in RepDistiller.
pub(crate) fn original_layer(ours: &str) -> String {
    ours.replace("shortcut", "convShortcut")
}

/// Wide residual network (WRN) for small images: a 3×3 stem, three stages of pre-activation
/// [blocks](WideBlock), global average pooling and a linear classifier.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `stem` | map | the first convolution |
/// | `layer1`, `layer2`, `layer3` | map | the output of each stage: a sum, neither normalized nor activated |
/// | `layer1.pre`, `layer2.pre`, `layer3.pre` | map | the normalized output of each stage, before the activation |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of the last map |
/// | `pool` | vector | the mean of each channel of the activation of `layer3.pre` |
///
/// In a pre-activation network, a stage ends before an activation, so both taps are before an
/// activation; the normalization between them is the first layer of the next stage. The names
/// follow the literature, which calls `layerN` the feature and `layerN.pre` the feature before its
/// ReLU.
///
/// The order and the names of the tensors are those of the public checkpoints of [Contrastive
/// Representation Distillation](https://arxiv.org/abs/1910.10699) (Y. Tian, D. Krishnan and P.
/// Isola, ICLR 2020). The `weight` and `bias` of a normalization there are `gamma` and `beta` here,
/// and `convShortcut` is `shortcut`.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - `stem`: `[batch_size, 16, height, width]`
/// - `layer1`: `[batch_size, 16 widen, height, width]`
/// - `layer2`: half the height and width, rounding up; `layer3`: a quarter
/// - `pool`: `[batch_size, 64 widen]`
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
/// S. Zagoruyko and N. Komodakis, [Wide Residual Networks](https://arxiv.org/abs/1605.07146),
/// BMVC 2016.
#[doc(alias = "WRN")]
#[derive(Module, Debug)]
pub struct WideResNet {
    /// Convolution of the stem.
    pub conv1: Conv2d,
    /// First stage, at full size.
    pub block1: WideStage,
    /// Second stage, at half the size.
    pub block2: WideStage,
    /// Third stage, at a quarter of the size.
    pub block3: WideStage,
    /// Normalization after the last stage.
    pub bn1: BatchNorm,
    /// Classifier.
    pub fc: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl Network for WideResNet {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, 3, taps);
        let normalized = batch_norm(&self.bn1, map);
        taps.offer("layer3.pre", || Tap::Map(normalized.clone()));
        let map = relu(normalized);
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
        let first = |stage: &WideStage| stage.layer.first().map(|block| block.bn1.clone());
        match tap {
            "layer1.pre" => first(&self.block2),
            "layer2.pre" => first(&self.block3),
            "layer3.pre" => Some(self.bn1.clone()),
            _ => None,
        }
    }
}

impl Staged for WideResNet {
    fn stage_count(&self) -> usize {
        3
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let mut map = self.conv1.forward(input);
        taps.offer("stem", || Tap::Map(map.clone()));
        let stages = [&self.block1, &self.block2, &self.block3];
        for (stage, number) in stages.into_iter().take(last).zip(1..) {
            map = stage.forward(map, |normalized| {
                // The first normalization is that of the stem and not of a stage.
                if number > 1 {
                    let name = format!("layer{}.pre", number - 1);
                    taps.offer(name, || Tap::Map(normalized.clone()));
                }
            });
            taps.offer(format!("layer{number}"), || Tap::Map(map.clone()));
        }
        map
    }
}

/// A stage of a [`WideResNet`].
#[derive(Module, Debug)]
pub struct WideStage {
    /// Blocks.
    pub layer: Vec<WideBlock>,
}

impl WideStage {
    /// Applies the blocks and passes the normalized input of the first one to `show`.
    ///
    /// The caller must not compute it again, because a normalization that runs twice in training
    /// would update its statistics twice.
    fn forward(&self, input: Tensor<4>, show: impl FnOnce(&Tensor<4>)) -> Tensor<4> {
        let mut show = Some(show);
        self.layer.iter().fold(input, |map, block| {
            let normalized = batch_norm(&block.bn1, map.clone());
            if let Some(show) = show.take() {
                show(&normalized);
            }
            block.forward_normalized(map, normalized)
        })
    }
}

/// A block of a [`WideResNet`]: twice a normalization, a ReLU and a 3×3 convolution, whose output
/// is added to the input.
#[derive(Module, Debug)]
pub struct WideBlock {
    /// Normalization of the input.
    pub bn1: BatchNorm,
    /// First convolution, which may shrink the map.
    pub conv1: Conv2d,
    /// Normalization between the convolutions.
    pub bn2: BatchNorm,
    /// Second convolution.
    pub conv2: Conv2d,
    /// Projection of the shortcut, from the normalized and activated input, if the shapes of input
    /// and output differ.
    pub shortcut: Option<Conv2d>,
}

impl WideBlock {
    fn new(block: Block, device: &Device) -> Self {
        let [inputs, outputs] = block.channels;
        Self {
            bn1: norm(inputs, device),
            conv1: convolution(block.channels, 3, block.stride, device),
            bn2: norm(outputs, device),
            conv2: convolution([outputs, outputs], 3, 1, device),
            shortcut: block
                .projects()
                .then(|| convolution(block.channels, 1, block.stride, device)),
        }
    }

    fn plan(block: Block, name: &str, input: [usize; 3], plan: &mut Plan) -> [usize; 3] {
        let [_, outputs] = block.channels;
        plan.norm(format!("{name}.bn1"), input);
        let shape = plan.convolution(format!("{name}.conv1"), input, outputs, 3, block.stride);
        plan.norm(format!("{name}.bn2"), shape);
        plan.convolution(format!("{name}.conv2"), shape, outputs, 3, 1);
        if block.projects() {
            plan.convolution(format!("{name}.shortcut"), input, outputs, 1, block.stride);
        }
        shape
    }

    /// Applies the block to its input and to the input after `bn1`.
    ///
    /// # Shapes
    ///
    /// - input and normalized: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / stride, width / stride]`
    pub fn forward_normalized(&self, input: Tensor<4>, normalized: Tensor<4>) -> Tensor<4> {
        let active = relu(normalized);
        let residual = batch_norm(&self.bn2, self.conv1.forward(active.clone()));
        let residual = self.conv2.forward(relu(residual));
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(active),
            None => input,
        };
        shortcut.add(residual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn_distill_core::{TapSelection, known_taps, tensors};

    #[test]
    fn taps_are_in_the_order_of_the_forward_pass() {
        let network = WideResNetConfig::new(10, 2, [1, 9, 6], 4).init(&Device::default());

        let taps = known_taps(&network);
        let taps: Vec<_> = taps
            .iter()
            .map(|(name, tap)| (name, tap.shape().as_slice().to_vec()))
            .collect();
        assert_eq!(
            taps,
            [
                ("stem", vec![2, 16, 9, 6]),
                ("layer1", vec![2, 32, 9, 6]),
                ("layer1.pre", vec![2, 32, 9, 6]),
                ("layer2", vec![2, 64, 5, 3]),
                ("layer2.pre", vec![2, 64, 5, 3]),
                ("layer3", vec![2, 128, 3, 2]),
                ("layer3.pre", vec![2, 128, 3, 2]),
                ("class-maps", vec![2, 4, 3, 2]),
                ("pool", vec![2, 128]),
            ]
        );
    }

    #[test]
    fn selecting_taps_changes_neither_response_nor_statistics() {
        let device = Device::default().autodiff();
        let config = WideResNetConfig::new(10, 1, [1, 6, 6], 4);
        let tapped = config.init(&device);
        // Not a clone, because clones share their running statistics.
        let plain = config
            .init(&device)
            .load_record(tapped.clone().into_record());
        let input = Tensor::random([3, 1, 6, 6], Distribution::Default, &device);

        let response = tapped
            .forward_knowledge(input.clone(), &TapSelection::All)
            .response;
        let expected = plain.forward(input);

        let logits = |response: &Response| response.classes().unwrap().to_data();
        logits(&response).assert_eq(&logits(&expected), true);
        assert_eq!(tensors(&tapped), tensors(&plain));
        let fresh = config.init(&device);
        let mean = |network: &WideResNet| network.block2.layer[0].bn1.running_mean.value_sync();
        assert_ne!(mean(&tapped).into_data(), mean(&fresh).into_data());
    }

    #[test]
    fn the_bias_of_the_classifier_starts_at_zero() {
        let network = WideResNetConfig::new(10, 1, [1, 6, 6], 4).init(&Device::default());

        let bias = network.fc.bias.unwrap().val();
        bias.into_data().assert_eq(&[0.0f32; 4].into(), true);
    }

    #[test]
    #[should_panic(expected = "should be 6n + 4 up to 10000, but is 20")]
    fn a_depth_that_is_not_6n_plus_4_is_refused() {
        WideResNetConfig::new(20, 2, [3, 32, 32], 10).init(&Device::default());
    }
}
