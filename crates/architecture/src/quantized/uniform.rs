use super::buckets::{Buckets, bucket_count};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::KeyedRng;
use serde::{Deserialize, Serialize};

/// Rule by which a value between two levels is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rounding {
    /// To the nearest level, and to the even one of two that are equally near.
    #[default]
    Nearest,
    /// To the upper level with a probability that is the distance from the lower one, so that the
    /// expected value is the value itself.
    Stochastic,
}

/// Uniform grid between the smallest and the largest weight of each bucket.
///
/// ```text
/// β = min w,   α = max w − β                        of each bucket
/// Q(w) = β + α · round((s − 1) (w − β) / α) / (s − 1),   s = 2^bits
/// ```
///
/// A bucket is a run of consecutive weights of a tensor; the last one is filled up with the last
/// weight. If all weights of a bucket are equal, they stay as they are. The smallest and the largest
/// weight of a bucket are levels, so they stay too.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::{Rounding, UniformGrid};
///
/// let weights = Tensor::<1>::from_data([0.0, 0.4, 1.5, 2.5, 3.0], &Device::default());
///
/// // Four levels, 0 to 3; halves are rounded to the even one.
/// let quantized = UniformGrid::new(2, 256).quantize(weights);
/// let expected = [0.0, 0.0, 2.0, 2.0, 3.0_f32];
/// quantized.into_data().assert_eq(&expected.into(), false);
/// ```
///
/// # Reference
///
/// A. Polino, R. Pascanu and D. Alistarh, [Model compression via distillation and
/// quantization](https://arxiv.org/abs/1802.05668), ICLR 2018. The rule of constant buckets and of
/// the last bucket is that of the authors' code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniformGrid {
    bits: usize,
    bucket_size: usize,
}

impl UniformGrid {
    /// Creates a grid of `2^bits` levels for each bucket of this number of weights.
    ///
    /// # Panics
    ///
    /// Panics if the bits are not from 1 to 16, or if the buckets have no weights.
    pub fn new(bits: usize, bucket_size: usize) -> Self {
        assert!(
            (1..=16).contains(&bits),
            "The number of bits should be from 1 to 16, but is {bits}."
        );
        assert!(
            bucket_size > 0,
            "The size of a bucket should be at least 1, but is 0."
        );
        Self { bits, bucket_size }
    }

    /// Returns the number of buckets of a tensor with this number of weights.
    pub fn buckets(&self, weights: usize) -> usize {
        bucket_count(weights, self.bucket_size)
    }

    /// Rounds every weight to the nearest level of its bucket. The result has no gradient.
    pub fn quantize<const D: usize>(&self, weights: Tensor<D>) -> Tensor<D> {
        self.quantize_by(weights, |levels| levels.round())
    }

    /// Rounds every weight to one of the two levels around it, with random numbers that depend on
    /// the key alone, on every device. The expected value is the weight. The result has no gradient.
    pub fn quantize_stochastically<const D: usize>(
        &self,
        weights: Tensor<D>,
        key: [u64; 4],
    ) -> Tensor<D> {
        self.quantize_by(weights, |levels| {
            let noise = noise(key, levels.dims(), &levels.device()).cast(levels.dtype());
            // The noise is below 1, so that a level itself stays.
            levels.add(noise).floor()
        })
    }

    fn quantize_by<const D: usize>(
        &self,
        weights: Tensor<D>,
        round: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<D> {
        if weights.shape().num_elements() == 0 {
            return weights.without_autodiff();
        }
        let steps = ((1_u32 << self.bits) - 1) as f64;
        let buckets = Buckets::new(weights, self.bucket_size);
        let levels = round(buckets.scaled.clone().mul_scalar(steps));
        buckets.tensor(levels.div_scalar(steps))
    }
}

/// Draws numbers from 0 and below 1 that depend on the key alone.
fn noise(key: [u64; 4], shape: [usize; 2], device: &Device) -> Tensor<2> {
    let mut rng = KeyedRng::new(key);
    let count = shape[0] * shape[1];
    // In single precision, the largest numbers would be rounded to 1.
    let below_one = |number: f64| (number as f32).min(1.0 - f32::EPSILON / 2.0);
    let numbers: Vec<f32> = (0..count).map(|_| below_one(rng.unit())).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}
