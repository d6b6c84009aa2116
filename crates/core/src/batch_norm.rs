use crate::norm_statistics::observe;
use burn::module::{Flag, Module, Param, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::module::batch_norm_train;
use burn::tensor::{Device, Tensor, assert_shape};

/// Applies batch normalization with the running variance as in PyTorch.
///
/// ```text
/// running variance ← (1 − momentum) · running variance + momentum · n / (n − 1) · batch variance
/// ```
///
/// where `n` is the number of values per channel. The batch itself is normalized by the biased
/// batch variance; the factor makes it an unbiased estimate. burn's [`forward`](BatchNorm::forward)
/// omits the factor, so its running variance is smaller by the fraction `1 / n`: 7 % for 14 values,
/// negligible for 10,000. Everything else is as in burn, including the choice between training and
/// inference. A single value per channel has no unbiased variance; its running variance is updated
/// as in burn.
///
/// [`observe_batch_norms`](crate::observe_batch_norms) returns the statistics of the input.
///
/// # Shapes
///
/// - input, output: `[batch_size, channels, ..]`
///
/// # Panics
///
/// Panics if the second axis of the input is not the number of channels of the layer.
pub fn batch_norm<const D: usize>(layer: &BatchNorm, input: Tensor<D>) -> Tensor<D> {
    observe(layer, &input);
    let device = input.device();
    if !(device.is_autodiff() && layer.training.is_enabled()) {
        return layer.forward(input);
    }
    let [channels] = layer.gamma.shape().dims();
    assert_shape!(input, [_, channels, ..]);
    let values = input.shape().num_elements() / channels;
    let unbiased = values as f64 / (values as f64 - 1.0).max(1.0);

    let (gamma, beta) = (layer.gamma.val(), layer.beta.val());
    let result = batch_norm_train(input, gamma, beta, layer.epsilon);
    let follow = |running: Tensor<1>, batch: Tensor<1>| {
        let kept = running.to_device(&device).mul_scalar(1.0 - layer.momentum);
        kept.add(batch.detach().mul_scalar(layer.momentum)).detach()
    };
    let mean = follow(layer.running_mean.value_sync(), result.mean);
    let variance = result.variance.mul_scalar(unbiased);
    let variance = follow(layer.running_var.value_sync(), variance);
    layer.running_mean.update(mean);
    layer.running_var.update(variance);
    result.output
}

/// Batch normalization without a learned scale and offset, as with `affine=False` in PyTorch.
///
/// It is [`batch_norm`] with a scale of 1 and an offset of 0, which are no parameters.
#[derive(Module, Debug)]
pub struct PlainBatchNorm {
    /// Whether the statistics of a batch are used in training.
    pub training: Param<Flag>,
    /// Running mean. Shape: `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// Running variance. Shape: `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    /// Share of the statistics of a batch in the running statistics.
    pub momentum: f64,
    /// Addend of the variance.
    pub epsilon: f64,
}

impl PlainBatchNorm {
    /// Creates the layer for a number of channels.
    ///
    /// # Panics
    ///
    /// Panics if the number of channels is zero.
    pub fn new(channels: usize, device: &Device) -> Self {
        let layer = BatchNormConfig::new(channels).init(device);
        Self {
            training: layer.training,
            running_mean: layer.running_mean,
            running_var: layer.running_var,
            momentum: layer.momentum,
            epsilon: layer.epsilon,
        }
    }

    /// Normalizes the channels.
    ///
    /// # Shapes
    ///
    /// - input, output: `[batch_size, channels, ..]`
    ///
    /// # Panics
    ///
    /// Panics if the second axis of the input is not the number of channels of the layer.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let scale = self.running_var.value().ones_like();
        // A clone of a running state shares it, so that the update reaches this layer.
        let layer = BatchNorm {
            beta: constant(scale.zeros_like()),
            gamma: constant(scale),
            training: self.training.clone(),
            running_mean: self.running_mean.clone(),
            running_var: self.running_var.clone(),
            momentum: self.momentum,
            epsilon: self.epsilon,
        };
        batch_norm(&layer, input)
    }
}

fn constant(value: Tensor<1>) -> Param<Tensor<1>> {
    Param::from_tensor(value.without_autodiff()).set_require_grad(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::BatchNormConfig;
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};

    fn statistics(layer: &BatchNorm) -> [TensorData; 2] {
        [&layer.running_mean, &layer.running_var].map(|state| state.value_sync().into_data())
    }

    #[test]
    fn the_running_variance_is_that_of_pytorch() {
        let device = Device::default().autodiff();
        let layer = BatchNormConfig::new(2).init(&device);
        let input = Tensor::<2>::from_data([[1.0, 0.0], [3.0, 3.0], [2.0, 9.0]], &device);

        batch_norm(&layer, input);

        // torch.nn.BatchNorm1d(2): 0.9 · 0 + 0.1 · mean, 0.9 · 1 + 0.1 · [1, 21].
        let [mean, variance] = statistics(&layer);
        mean.assert_approx_eq::<f32>(&[0.2, 0.4].into(), Tolerance::default());
        variance.assert_approx_eq::<f32>(&[1.0, 3.0].into(), Tolerance::default());
    }

    #[test]
    fn everything_but_the_running_variance_is_as_in_burn() {
        let device = Device::default().autodiff();
        let [ours, theirs] = [(); 2].map(|_| BatchNormConfig::new(3).init(&device));
        for shape in [[5, 3, 2, 2], [4, 3, 1, 1], [1, 3, 1, 1]] {
            let input = Tensor::<4>::random(shape, Distribution::Default, &device);
            let output = batch_norm(&ours, input.clone());
            let expected = theirs.forward(input);
            output.into_data().assert_eq(&expected.into_data(), true);
            assert_eq!(statistics(&ours)[0], statistics(&theirs)[0]);
        }
        let before = statistics(&ours);
        let input = Tensor::<2>::random([4, 3], Distribution::Default, &Device::default());
        let valid = burn::module::Module::valid(&ours);
        let output = batch_norm(&valid, input.clone());
        output
            .into_data()
            .assert_eq(&valid.forward(input).into_data(), true);
        assert_eq!(statistics(&ours), before);
    }

    #[test]
    fn a_plain_layer_is_one_with_a_scale_of_one_and_no_offset() {
        let device = Device::default().autodiff();
        let plain = PlainBatchNorm::new(3, &device);
        let layer = BatchNormConfig::new(3).init(&device);
        let input = Tensor::<4>::random([5, 3, 2, 2], Distribution::Normal(2.0, 3.0), &device);
        let gradient = |output: Tensor<4>, input: &Tensor<4>| {
            let weights = Tensor::arange(0..60, &device).float().sin();
            let grads = output.mul(weights.reshape([5, 3, 2, 2])).sum().backward();
            input.grad(&grads).unwrap().into_data()
        };

        let (one, other) = (input.clone().require_grad(), input.clone().require_grad());
        let (output, expected) = (
            plain.forward(one.clone()),
            batch_norm(&layer, other.clone()),
        );
        output.to_data().assert_eq(&expected.to_data(), true);
        assert_eq!(gradient(output, &one), gradient(expected, &other));

        let inner = input.without_autodiff();
        let (plain, layer) = (plain.valid(), layer.valid());
        let [mean, variance] = statistics(&layer);
        mean.assert_eq(&plain.running_mean.value_sync().into_data(), true);
        variance.assert_eq(&plain.running_var.value_sync().into_data(), true);
        let (output, expected) = (plain.forward(inner.clone()), layer.forward(inner));
        output.into_data().assert_eq(&expected.into_data(), true);
        assert_eq!(crate::parameter_count(&plain), 0);
        assert_eq!(crate::tensors(&plain).len(), 2);
    }
}
