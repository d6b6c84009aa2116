use crate::Plan;
use crate::conv_shape::{ConvShape, ConvWeights};
use crate::layers::norm;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn_distill_core::batch_norm;

/// A convolution followed by batch normalization.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// Convolution.
    pub conv: Conv2d,
    /// Normalization of the convolution's output.
    pub norm: BatchNorm,
}

impl ConvNorm {
    pub(crate) fn new(shape: ConvShape, weights: ConvWeights, device: &Device) -> Self {
        let [_, outputs] = shape.channels;
        Self {
            conv: shape.init(weights, device),
            norm: norm(outputs, device),
        }
    }

    /// Sets the constants of the normalization.
    pub(crate) fn with_norm(mut self, epsilon: f64, momentum: f64) -> Self {
        self.norm.epsilon = epsilon;
        self.norm.momentum = momentum;
        self
    }

    pub(crate) fn plan(
        shape: ConvShape,
        name: &str,
        input: [usize; 3],
        plan: &mut Plan,
    ) -> [usize; 3] {
        let output = plan.convolution_of(format!("{name}.conv"), input, shape);
        plan.norm(format!("{name}.norm"), output);
        output
    }

    /// Applies the convolution and the normalization, without the activation that follows them.
    ///
    /// # Shapes
    ///
    /// - input: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height / stride, width / stride]`, rounded up
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        batch_norm(&self.norm, self.conv.forward(input))
    }
}

/// Creates a linear layer with normal weights, of standard deviation 0.01, and a bias of zeros.
pub(crate) fn small_linear(features: [usize; 2], device: &Device) -> Linear {
    let (mean, std) = (0.0, 0.01);
    linear_without_offset(features, Initializer::Normal { mean, std }, device)
}

/// Creates a linear layer with weights from an initializer, and a bias of zeros.
pub(crate) fn linear_without_offset(
    [inputs, outputs]: [usize; 2],
    weights: Initializer,
    device: &Device,
) -> Linear {
    let mut linear = LinearConfig::new(inputs, outputs)
        .with_initializer(weights)
        .init(device);
    linear.bias = Some(Initializer::Zeros.init([outputs], device));
    linear
}

/// Interleaves groups of channels: channel `c` of group `g` moves to position `c · groups + g`.
///
/// # Shapes
///
/// - map and output: `[batch_size, channels, height, width]`
pub(crate) fn shuffle_channels(map: Tensor<4>, groups: usize) -> Tensor<4> {
    if groups == 1 {
        return map;
    }
    let [batch_size, channels, height, width] = map.dims();
    map.reshape([batch_size, groups, channels / groups, height, width])
        .swap_dims(1, 2)
        .reshape([batch_size, channels, height, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn channels_of_groups_alternate_after_a_shuffle() {
        let device = Device::default();
        let map = Tensor::<1>::from_data([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &device);

        let shuffled = shuffle_channels(map.reshape([1, 6, 1, 1]), 2);

        let expected = TensorData::from([0.0f32, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let shuffled = shuffled.reshape([6]).into_data();
        shuffled.assert_eq(&expected, false);
    }

    #[test]
    fn uniform_weights_are_bounded_by_the_inputs_of_a_group() {
        let device = Device::default();
        device.seed(3);
        let shape = ConvShape::new([12, 300], 1).groups(3);
        let conv = shape.init(ConvWeights::Uniform, &device);

        // 1 / √(12 / 3), as PyTorch's default.
        let largest = conv.weight.val().abs().max().into_scalar::<f32>();
        assert!(largest <= 0.5 && largest > 0.49, "{largest}");
    }

    #[test]
    fn depthwise_weights_start_with_the_variance_of_all_outputs() {
        let device = Device::default();
        device.seed(3);
        let conv = ConvShape::depthwise(960)
            .bias()
            .init(ConvWeights::He, &device);

        assert_eq!(conv.weight.dims(), [960, 1, 3, 3]);
        let (variance, _) = conv.weight.val().reshape([-1]).var_mean(0);
        // 2 / (3² · 960), as `nn.init.kaiming_normal_(mode="fan_out")`. 8 640 draws: 1.5 %.
        let ratio = variance.into_scalar::<f32>() * 9.0 * 960.0 / 2.0;
        assert!((ratio - 1.0).abs() < 0.08, "{ratio}");
        let bias = conv.bias.unwrap().val().abs().max();
        assert_eq!(bias.into_scalar::<f32>(), 0.0);
    }
}
