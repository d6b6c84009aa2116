use crate::numeric::at_least_f32;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use std::cell::RefCell;

/// Statistics of the input of a [batch normalization](crate::batch_norm()), and those that its layer
/// has stored.
///
/// Methods without data look for images whose statistics are the stored ones, which are those of the
/// training data. Every tensor has the shape `[channels]` and is in at least single precision.
#[derive(Clone, Debug)]
pub struct NormStatistics {
    /// Mean of each channel of the input, with gradients.
    pub mean: Tensor<1>,
    /// Biased variance of each channel of the input, with gradients.
    pub variance: Tensor<1>,
    /// Stored mean.
    pub running_mean: Tensor<1>,
    /// Stored variance, which is unbiased.
    pub running_variance: Tensor<1>,
}

thread_local! {
    /// Statistics of the layers so far, while a function is observed on this thread.
    static OBSERVED: RefCell<Option<Vec<NormStatistics>>> = const { RefCell::new(None) };
}

/// Runs a function, and returns beside its result the statistics of every [batch
/// normalization](crate::batch_norm()) that it computes on this thread, in their order.
///
/// All networks of the toolkit normalize by that function. A layer on which a network of yours calls
/// burn's `forward` is not observed. Without a call of this function, nothing is computed.
///
/// # Example
///
/// ```
/// use burn::nn::BatchNormConfig;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{batch_norm, observe_batch_norms};
///
/// let device = Device::default();
/// let layer = BatchNormConfig::new(1).init(&device);
/// let input = Tensor::<2>::from_data([[1.0], [3.0]], &device);
///
/// let (_, statistics) = observe_batch_norms(|| batch_norm(&layer, input));
///
/// assert_eq!(statistics[0].mean.clone().into_scalar::<f32>(), 2.0);
/// assert_eq!(statistics[0].variance.clone().into_scalar::<f32>(), 1.0);
/// ```
pub fn observe_batch_norms<R>(forward: impl FnOnce() -> R) -> (R, Vec<NormStatistics>) {
    /// Ends the observation, also where the function panics, and continues that of an outer one.
    struct Observation(Option<Vec<NormStatistics>>);

    impl Observation {
        fn start() -> Self {
            Self(OBSERVED.replace(Some(Vec::new())))
        }

        fn end(&mut self) -> Vec<NormStatistics> {
            OBSERVED.replace(self.0.take()).unwrap_or_default()
        }
    }

    impl Drop for Observation {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.end();
            }
        }
    }

    let mut observation = Observation::start();
    let result = forward();
    let statistics = observation.end();
    (result, statistics)
}

/// Adds the statistics of a layer, if this thread is observed.
pub(crate) fn observe<const D: usize>(layer: &BatchNorm, input: &Tensor<D>) {
    OBSERVED.with_borrow_mut(|observed| {
        if let Some(observed) = observed {
            observed.push(NormStatistics::of(layer, input.clone()));
        }
    });
}

impl NormStatistics {
    fn of<const D: usize>(layer: &BatchNorm, input: Tensor<D>) -> Self {
        let [channels] = layer.gamma.shape().dims();
        let values = input.shape().num_elements() / channels;
        let rows = at_least_f32(input).swap_dims(0, 1);
        let rows: Tensor<2> = rows.reshape([channels, values]);
        let mean = rows.clone().mean_dim(1);
        // From the differences, since the square of a large mean would swallow a small variance.
        let variance = rows.sub(mean.clone()).square().mean_dim(1);
        let stored = |value: Tensor<1>| at_least_f32(value.without_autodiff());
        Self {
            mean: mean.squeeze_dim(1),
            variance: variance.squeeze_dim(1),
            running_mean: stored(layer.running_mean.value()),
            running_variance: stored(layer.running_var.value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch_norm;
    use burn::nn::BatchNormConfig;
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn statistics_are_those_of_the_channels() {
        let device = Device::default();
        let layer = BatchNormConfig::new(2).init(&device);
        let input = [[[[1.0, 3.0]], [[5.0, 5.0]]], [[[2.0, 6.0]], [[5.0, 9.0]]]];
        let input = Tensor::<4>::from_data(input, &device);

        let (output, statistics) = observe_batch_norms(|| batch_norm(&layer, input.clone()));

        let expected = batch_norm(&layer, input).into_data();
        output.into_data().assert_eq(&expected, true);
        let [found] = statistics.try_into().unwrap();
        let check = |found: Tensor<1>, expected: [f32; 2]| {
            let expected = TensorData::from(expected);
            found
                .into_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::default());
        };
        check(found.mean, [3.0, 6.0]);
        check(found.variance, [3.5, 3.0]);
        check(found.running_mean, [0.0, 0.0]);
        check(found.running_variance, [1.0, 1.0]);
    }

    #[test]
    fn gradients_of_a_constant_layer_flow_to_the_input() {
        let device = Device::default().autodiff();
        let layer = crate::Frozen::new(BatchNormConfig::new(3).init(&device));
        let input = Tensor::<2>::random([4, 3], Distribution::Default, &device).require_grad();

        let (_, statistics) = observe_batch_norms(|| batch_norm(layer.inner(), input.clone()));

        let grads = statistics[0].mean.clone().sum().backward();
        let gradient = input.grad(&grads).unwrap().into_data();
        gradient.assert_approx_eq::<f32>(&[[0.25_f32; 3]; 4].into(), Tolerance::default());
    }

    #[test]
    fn only_the_innermost_observation_of_the_thread_collects() {
        let device = Device::default();
        let layer = BatchNormConfig::new(1).init(&device);
        let pass = || batch_norm(&layer, Tensor::<2>::ones([2, 1], &device));

        let (inner, outer) = observe_batch_norms(|| {
            pass();
            let (_, inner) = observe_batch_norms(|| [pass(), pass()]);
            pass();
            inner
        });
        assert_eq!((inner.len(), outer.len()), (2, 2));

        let panicking = || observe_batch_norms(|| panic!("a forward pass that fails")).1;
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        pass();
        assert!(OBSERVED.with_borrow(Option::is_none));
    }
}
