use burn::nn::BatchNorm;
use burn::tensor::module::batch_norm_train;
use burn::tensor::{Tensor, assert_shape};

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
/// # Shapes
///
/// - input, output: `[batch_size, channels, ..]`
///
/// # Panics
///
/// Panics if the second axis of the input is not the number of channels of the layer.
pub fn batch_norm<const D: usize>(layer: &BatchNorm, input: Tensor<D>) -> Tensor<D> {
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
}
