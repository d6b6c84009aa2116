use super::activation::Activation;
use super::conv::ConvNorm;
use crate::Plan;
use crate::conv_shape::{ConvShape, ConvWeights};
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Dropout};
use burn::tensor::activation::{hard_sigmoid, relu, sigmoid, silu};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Tap, TapRecorder};

/// Shape of an inverted residual block.
#[derive(Clone, Copy)]
pub(crate) struct InvertedShape {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Channels of the depthwise convolution.
    pub expanded: usize,
    /// Whether there is a convolution to the expanded channels.
    pub expands: bool,
    /// Height and width of the kernel of the depthwise convolution.
    pub kernel: usize,
    /// Factor by which the map shrinks.
    pub stride: usize,
    /// Channels of the squeeze, if the block has one.
    pub squeezed: Option<usize>,
    /// Activation after the convolutions, except the last.
    pub activation: Activation,
}

impl InvertedShape {
    fn expand(self) -> Option<ConvShape> {
        let shape = ConvShape::new([self.channels[0], self.expanded], 1);
        self.expands.then_some(shape)
    }

    fn depthwise(self) -> ConvShape {
        ConvShape::new([self.expanded, self.expanded], self.kernel)
            .stride(self.stride)
            .groups(self.expanded)
    }

    fn squeeze(self) -> Option<[ConvShape; 2]> {
        let between = |channels| ConvShape::new(channels, 1).bias();
        self.squeezed.map(|squeezed| {
            let expanded = self.expanded;
            [[expanded, squeezed], [squeezed, expanded]].map(between)
        })
    }

    fn project(self) -> ConvShape {
        ConvShape::new([self.expanded, self.channels[1]], 1)
    }

    /// Creates the block, without stochastic depth, from a function that creates a convolution and
    /// its normalization.
    pub fn init(self, layer: impl Fn(ConvShape) -> ConvNorm, device: &Device) -> InvertedResidual {
        InvertedResidual {
            expand: self.expand().map(&layer),
            depthwise: layer(self.depthwise()),
            squeeze: self.squeeze().map(|shapes| {
                let [fc1, fc2] = shapes.map(|shape| shape.init(ConvWeights::He, device));
                SqueezeExcitation {
                    fc1,
                    fc2,
                    hard: self.activation != Activation::Silu,
                }
            }),
            project: layer(self.project()),
            stochastic_depth: None,
            activation: self.activation,
        }
    }

    pub fn plan(self, name: &str, input: [usize; 3], plan: &mut Plan) -> [usize; 3] {
        let name = |part: &str| format!("{name}.{part}");
        let mut shape = input;
        if let Some(expand) = self.expand() {
            shape = ConvNorm::plan(expand, &name("expand"), shape, plan);
        }
        shape = ConvNorm::plan(self.depthwise(), &name("depthwise"), shape, plan);
        if let Some([fc1, fc2]) = self.squeeze() {
            let squeezed = plan.convolution_of(name("squeeze.fc1"), [self.expanded, 1, 1], fc1);
            plan.convolution_of(name("squeeze.fc2"), squeezed, fc2);
        }
        ConvNorm::plan(self.project(), &name("project"), shape, plan)
    }

    /// Returns the name of a part of the block in torchvision, where it is a sequence of the layers
    /// that exist.
    pub fn name_in_torchvision(self, layer: &str, part: &str) -> String {
        let depthwise = usize::from(self.expands);
        let place = match layer {
            "expand" => 0,
            "depthwise" => depthwise,
            "squeeze" => depthwise + 1,
            _ => depthwise + 1 + usize::from(self.squeezed.is_some()),
        };
        format!("{place}.{}", place_in_conv_norm(part))
    }
}

/// Returns the place of a part of a [`ConvNorm`] in a sequence of torchvision. The parts of other
/// layers keep their name.
pub(crate) fn place_in_conv_norm(part: &str) -> &str {
    match part {
        "conv" => "0",
        "norm" => "1",
        part => part,
    }
}

/// Rounds a number of channels to the nearest multiple of 8, but not down by more than a tenth.
pub(crate) fn round_channels(channels: f64) -> usize {
    let nearest = (((channels + 4.0) as usize) / 8 * 8).max(8);
    match (nearest as f64) < 0.9 * channels {
        true => nearest.saturating_add(8),
        false => nearest,
    }
}

/// Block of a [`MobileNetV2`](crate::MobileNetV2), [`MobileNetV3`](crate::MobileNetV3) or
/// [`EfficientNet`](crate::EfficientNet): a 1×1 convolution to more channels, a depthwise
/// convolution, a squeeze-and-excitation in the newer networks, and a 1×1 convolution to fewer
/// channels, whose output is added to the input if the shapes agree.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    /// Convolution to more channels, if the block expands.
    pub expand: Option<ConvNorm>,
    /// Depthwise convolution, which may shrink the map.
    pub depthwise: ConvNorm,
    /// Scaling of the channels before the last convolution.
    pub squeeze: Option<SqueezeExcitation>,
    /// Convolution to fewer channels, without an activation.
    pub project: ConvNorm,
    /// Dropout of the whole residual of a sample in training, if the output is added to the input.
    pub stochastic_depth: Option<Dropout>,
    /// Activation after the convolutions, except the last.
    #[module(skip)]
    pub(crate) activation: Activation,
}

impl InvertedResidual {
    /// Applies the block.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / stride, width / stride]`, rounded up
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let expanded = match &self.expand {
            Some(expand) => self.activation.forward(expand.forward(input.clone())),
            None => input.clone(),
        };
        let filtered = self.activation.forward(self.depthwise.forward(expanded));
        let scaled = match &self.squeeze {
            Some(squeeze) => squeeze.forward(filtered),
            None => filtered,
        };
        let residual = self.project.forward(scaled);
        let [_, inputs, ..] = input.dims();
        let [_, outputs, ..] = residual.dims();
        match self.depthwise.conv.stride == [1, 1] && inputs == outputs {
            true => input.add(self.survivors(residual)),
            false => residual,
        }
    }

    /// Applies stochastic depth: sets the residuals of random samples to zero and scales the others,
    /// so that their mean over all draws stays.
    fn survivors(&self, residual: Tensor<4>) -> Tensor<4> {
        let Some(dropout) = &self.stochastic_depth else {
            return residual;
        };
        let [batch_size, ..] = residual.dims();
        let ones = Tensor::ones(
            [batch_size, 1, 1, 1],
            (&residual.device(), residual.dtype()),
        );
        residual.mul(dropout.forward(ones))
    }
}

/// Squeeze-and-excitation: scales each channel by a gate between 0 and 1, which two linear layers
/// compute from the means of all channels.
///
/// ```text
/// gates = σ(fc2(φ(fc1(mean over pixels of map)))), output = gates · map
/// ```
///
/// `φ` is ReLU and `σ` the hard sigmoid `clamp(x / 6 + 1 / 2, 0, 1)`, or SiLU and the sigmoid.
///
/// # Reference
///
/// J. Hu, L. Shen and G. Sun, [Squeeze-and-Excitation
/// Networks](https://arxiv.org/abs/1709.01507), CVPR 2018.
#[derive(Module, Debug)]
pub struct SqueezeExcitation {
    /// Layer to fewer channels, as a 1×1 convolution.
    pub fc1: Conv2d,
    /// Layer to the gates, as a 1×1 convolution.
    pub fc2: Conv2d,
    /// Whether the gates are a hard sigmoid after ReLU, instead of a sigmoid after SiLU.
    pub hard: bool,
}

impl SqueezeExcitation {
    /// Scales the channels of a map.
    ///
    /// # Shapes
    ///
    /// - map, output: `[batch_size, channels, height, width]`
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let squeezed = self.fc1.forward(map.clone().mean_dims(&[2, 3]));
        let gates = match self.hard {
            true => hard_sigmoid(self.fc2.forward(relu(squeezed)), 1.0 / 6.0, 0.5),
            false => sigmoid(self.fc2.forward(silu(squeezed))),
        };
        map.mul(gates)
    }
}

/// Runs blocks and offers for each stage the output of its last block, which is not activated, both
/// as `layer1.pre`, `layer2.pre`, … and as `layer1`, `layer2`, ….
///
/// `ends` contains the number of blocks up to the end of each stage.
pub(crate) fn run_stages(
    mut map: Tensor<4>,
    blocks: &[InvertedResidual],
    ends: &[usize],
    taps: &mut TapRecorder,
) -> Tensor<4> {
    let mut start = 0;
    for (&end, number) in ends.iter().zip(1..) {
        let stage = blocks[start..end].iter();
        map = stage.fold(map, |map, block| block.forward(map));
        start = end;
        taps.offer(format!("layer{number}.pre"), || Tap::Map(map.clone()));
        taps.offer(format!("layer{number}"), || Tap::Map(map.clone()));
    }
    map
}

/// Returns the normalization behind the tap of a stage, such as `layer1.pre`. See
/// [`run_stages`].
pub(crate) fn normalization_of_stage(
    tap: &str,
    blocks: &[InvertedResidual],
    ends: &[usize],
) -> Option<BatchNorm> {
    let number = crate::stages::stage_before_activation(tap)?;
    let end = ends.get(number.checked_sub(1)?)?;
    Some(blocks[end - 1].project.norm.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::DropoutConfig;
    use burn::tensor::Distribution;

    fn block(squeezed: Option<usize>, activation: Activation, device: &Device) -> InvertedResidual {
        let shape = InvertedShape {
            channels: [4, 4],
            expanded: 8,
            expands: true,
            kernel: 5,
            stride: 1,
            squeezed,
            activation,
        };
        shape.init(
            |shape| ConvNorm::new(shape, ConvWeights::He, device),
            device,
        )
    }

    #[test]
    fn stochastic_depth_drops_whole_samples_in_training() {
        let device = Device::default().autodiff();
        device.seed(5);
        let mut block = block(Some(2), Activation::Silu, &device);
        let input = Tensor::random([400, 4, 3, 2], Distribution::Default, &device);
        let residual = block.forward(input.clone()).sub(input.clone());

        block.stochastic_depth = Some(DropoutConfig::new(0.25).init());
        let found = block.forward(input.clone()).sub(input.clone());

        // A residual that survives is divided by its probability.
        let samples = |residual: Tensor<4>| residual.flatten::<2>(1, 3).abs().sum_dim(1);
        let ratios = samples(found).div(samples(residual)).into_data();
        let ratios = ratios.try_to_vec::<f32>().unwrap();
        let near = |expected: f32| {
            let near = |ratio: &&f32| (**ratio - expected).abs() < 1e-3;
            ratios.iter().filter(near).count()
        };
        assert_eq!(near(0.0) + near(4.0 / 3.0), 400, "{ratios:?}");
        // The standard deviation of 400 draws is 9.
        assert!((65..=135).contains(&near(0.0)), "{}", near(0.0));
    }

    #[test]
    fn stochastic_depth_does_nothing_in_evaluation() {
        let device = Device::default();
        let mut block = block(None, Activation::Relu6, &device);
        let input = Tensor::random([5, 4, 3, 2], Distribution::Default, &device);
        let expected = block.forward(input.clone()).into_data();

        block.stochastic_depth = Some(DropoutConfig::new(0.5).init());

        block.forward(input).into_data().assert_eq(&expected, true);
    }

    #[test]
    fn gates_scale_whole_channels() {
        let device = Device::default();
        for activation in [Activation::HardSwish, Activation::Silu] {
            let squeeze = block(Some(2), activation, &device).squeeze.unwrap();
            assert_eq!(squeeze.hard, activation == Activation::HardSwish);
            let map = Tensor::<4>::random([2, 8, 3, 3], Distribution::Uniform(1.0, 2.0), &device);
            let gates = squeeze.forward(map.clone()).div(map).flatten::<3>(2, 3);
            let spread = gates.clone().max_dim(2).sub(gates.clone().min_dim(2)).max();
            assert!(spread.into_scalar::<f32>() < 1e-5);
            let bounds = [gates.clone().min(), gates.max()].map(|x| x.into_scalar::<f32>());
            assert!(bounds[0] >= 0.0 && bounds[1] <= 1.0, "{bounds:?}");
        }
    }
}
