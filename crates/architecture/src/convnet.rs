use crate::layers::{convolution, norm};
use crate::stages::{Staged, pooled};
use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder, batch_norm};

/// Configuration to create a [`ConvNet`] using the [init function](ConvNetConfig::init).
#[derive(Config, Debug)]
pub struct ConvNetConfig {
    /// Number of channels of each stage, for at least one stage.
    pub widths: Vec<usize>,
    /// Shape of one image: channels, height, width. Each of the `n` stages but the first halves
    /// height and width, rounding down, so both must be at least `2ⁿ⁻¹`.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

impl ConvNetConfig {
    /// Creates a [`ConvNet`].
    ///
    /// # Panics
    ///
    /// Panics if there is no stage, if a size is zero or above 65,536, or if the image is too
    /// small.
    pub fn init(&self, device: &Device) -> ConvNet {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let [mut channels, ..] = self.input;
        let stages = self
            .widths
            .iter()
            .map(|&width| ConvStage {
                conv: convolution(
                    [std::mem::replace(&mut channels, width), width],
                    3,
                    1,
                    device,
                ),
                bn: norm(width, device),
            })
            .collect();
        ConvNet {
            layer: stages,
            shrink: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc: LinearConfig::new(channels, self.classes).init(device),
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
        let mut shape = self.input;
        for (stage, &width) in self.widths.iter().enumerate() {
            if stage > 0 {
                let [channels, height, width] = shape;
                shape = [channels, height / 2, width / 2];
            }
            shape = plan.convolution(format!("layer.{stage}.conv"), shape, width, 3, 1);
            plan.norm(format!("layer.{stage}.bn"), shape);
        }
        let [channels, ..] = shape;
        plan.linear("fc", [channels, self.classes]);
        Ok(plan)
    }

    fn check(&self) -> Result<(), NetworkError> {
        check_stages(&self.widths)?;
        let least = error::least_halved(KIND, self.input, self.widths.len())?;
        error::check_ends(KIND, self.input, [1, least, least], self.classes)
    }
}

const KIND: &str = "convolutional network";

pub(crate) fn check_stages(widths: &[usize]) -> Result<(), NetworkError> {
    if widths.is_empty() {
        let example = "convnet-16-32";
        return Err(NetworkError::NoWidths {
            kind: KIND,
            example,
        });
    }
    error::check_widths(widths)
}

/// Plain convolutional network for small images.
///
/// Each stage is a 3×3 convolution, batch normalization and ReLU, with max pooling between the
/// stages. Global average pooling and a linear classifier follow.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `layer1.pre`, `layer2.pre`, … | map | each stage before its activation |
/// | `layer1`, `layer2`, … | map | each stage after its activation, before the pooling |
/// | `class-maps` | map | the [classifier at every pixel](crate::class_maps) of the last map |
/// | `pool` | vector | the mean of each channel of the last stage |
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - map taps: `[batch_size, widths[i], height / 2^i, width / 2^i]`, where the first `i` is 0
/// - response: `[batch_size, classes]`
///
/// Images of other sizes are also supported, if they are large enough and have the configured
/// number of channels.
///
/// # Panics
///
/// The forward pass panics if the images have another number of channels.
///
/// # Reference
///
/// Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, [Gradient-Based Learning Applied to Document
/// Recognition](https://doi.org/10.1109/5.726791), Proceedings of the IEEE 1998; with the batch
/// normalization of S. Ioffe and C. Szegedy, [Batch
/// Normalization](https://arxiv.org/abs/1502.03167), ICML 2015.
#[derive(Module, Debug)]
pub struct ConvNet {
    /// Stages.
    pub layer: Vec<ConvStage>,
    /// Pooling between the stages.
    pub shrink: MaxPool2d,
    /// Classifier.
    pub fc: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

/// A stage of a [`ConvNet`].
#[derive(Module, Debug)]
pub struct ConvStage {
    /// Convolution.
    pub conv: Conv2d,
    /// Normalization after the convolution.
    pub bn: BatchNorm,
}

impl Network for ConvNet {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = self.forward_stages(input, self.layer.len(), taps);
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
        let number = tap.strip_prefix("layer")?.strip_suffix(".pre")?;
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        Some(self.layer.get(index)?.bn.clone())
    }
}

impl Staged for ConvNet {
    fn stage_count(&self) -> usize {
        self.layer.len()
    }

    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4> {
        let [channels, ..] = self.input;
        assert_shape!(input, [_, channels, _, _]);

        let mut map = input;
        for (stage, number) in self.layer[..last].iter().zip(1..) {
            if number > 1 {
                map = self.shrink.forward(map);
            }
            let pre = batch_norm(&stage.bn, stage.conv.forward(map));
            taps.offer(format!("layer{number}.pre"), || Tap::Map(pre.clone()));
            map = relu(pre);
            taps.offer(format!("layer{number}"), || Tap::Map(map.clone()));
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn_distill_core::{TapSelection, Taps, known_taps};

    fn shapes(config: &ConvNetConfig) -> Vec<(String, Vec<usize>)> {
        known_taps(&config.init(&Device::default()))
            .iter()
            .map(|(name, tap)| (name.to_string(), tap.shape().as_slice().to_vec()))
            .collect()
    }

    #[test]
    fn taps_are_offered_before_the_pooling() {
        let config = ConvNetConfig::new(vec![4, 6], [1, 8, 8], 10);

        assert_eq!(
            shapes(&config),
            [
                ("layer1.pre".into(), vec![2, 4, 8, 8]),
                ("layer1".into(), vec![2, 4, 8, 8]),
                ("layer2.pre".into(), vec![2, 6, 4, 4]),
                ("layer2".into(), vec![2, 6, 4, 4]),
                ("class-maps".into(), vec![2, 10, 4, 4]),
                ("pool".into(), vec![2, 6]),
            ]
        );
    }

    #[test]
    fn a_tap_is_the_activation_of_its_pre() {
        let device = Device::default();
        let network = ConvNetConfig::new(vec![4, 6], [1, 8, 8], 10).init(&device);
        let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &device);
        let taps = network.forward_knowledge(input, &TapSelection::All).taps;

        fn map(taps: &Taps, name: &str) -> Tensor<4> {
            match taps.get(name).unwrap() {
                Tap::Map(map) => map.clone(),
                other => panic!("{name} is a {}", other.kind()),
            }
        }
        for name in ["layer1", "layer2"] {
            let pre = map(&taps, &format!("{name}.pre"));
            assert!(pre.clone().lower_scalar(0.0).any().into_scalar::<bool>());
            relu(pre)
                .into_data()
                .assert_eq(&map(&taps, name).into_data(), true);
        }
    }

    #[test]
    fn the_smallest_image_is_one_pixel_in_the_last_stage() {
        let config = ConvNetConfig::new(vec![4, 6, 8], [3, 4, 5], 10);

        assert!(shapes(&config).contains(&("layer3".into(), vec![2, 8, 1, 1])));
        let error = ConvNetConfig::new(vec![4, 6, 8], [3, 3, 5], 10)
            .plan()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "an input [3, 3, 5] of [channels, height, width] is too small: \
             a convolutional network needs at least [1, 4, 4]"
        );
    }

    #[test]
    #[should_panic(expected = "is too small")]
    fn too_many_stages_panic() {
        ConvNetConfig::new(vec![1; 70], [3, 32, 32], 10).init(&Device::default());
    }
}
