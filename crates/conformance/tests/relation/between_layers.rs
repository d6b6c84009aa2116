//! Helpers that tests of losses between layers share.

use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::testing::{Fill, wave};

/// Creates the map of two samples after a ReLU, as in the scripts of the golden values.
pub fn sine_map(frequency: f64, channels: usize, size: usize) -> Tensor<4> {
    let wave = wave(1.0, frequency, 0.3 * frequency);
    let fill = |n| (wave(n) + 0.4_f64).max(0.0);
    filled([2, channels, size, size], &fill)
}

/// Creates a tensor from values.
pub fn filled<const D: usize>(shape: [usize; D], fill: &dyn Fn(usize) -> f64) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(fill).collect();
    Tensor::from_data(
        TensorData::new(values, shape).convert::<f32>(),
        &Device::default(),
    )
}

/// Creates a small table of values, row by row.
pub fn table<const N: usize>(values: [f64; N]) -> Fill {
    Box::new(move |n| values[n % N])
}

/// Creates two layers from one tensor: the tensor itself, and one with fewer channels that depends
/// on all of them.
pub fn two_layers(map: Tensor<4>) -> Vec<Tensor<4>> {
    let [_, channels, _, _] = map.dims();
    let mean = map.clone().mean_dim(1);
    let fewer = map.clone().narrow(1, 0, channels.div_ceil(2));
    vec![map, fewer.mul_scalar(0.5).sub(mean).tanh()]
}

/// Creates two layers of non-negative features, where the sign of the leading direction is
/// determined.
pub fn two_positive_layers(map: Tensor<4>) -> Vec<Tensor<4>> {
    let layers = two_layers(map.square());
    layers.into_iter().map(|map| map.tanh().square()).collect()
}

/// Asserts the value and the norms of the gradients by each input.
pub fn assert_golden<const D: usize>(
    inputs: Vec<Tensor<D>>,
    loss: impl FnOnce(Vec<Tensor<D>>) -> Tensor<1>,
    value: f64,
    norms: &[f64],
) {
    let inputs: Vec<_> = inputs
        .into_iter()
        .map(|input| input.autodiff().require_grad())
        .collect();
    let outcome = loss(inputs.clone());
    let grads = outcome.clone().backward();
    assert_near("value", outcome.into_scalar::<f64>(), value, 5e-5);
    for (input, &norm) in inputs.iter().zip(norms) {
        let gradient = input.grad(&grads).unwrap();
        let size = gradient.square().sum().sqrt().into_scalar::<f64>();
        assert_near("gradient", size, norm, 2e-4);
    }
}

/// Asserts that two numbers agree up to a relative error.
pub fn assert_near(what: &str, actual: f64, expected: f64, tolerance: f64) {
    let error = (actual - expected).abs();
    assert!(
        error <= tolerance * expected.abs(),
        "{what}: {actual} is not {expected}"
    );
}
