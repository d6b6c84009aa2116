use super::buckets::{Buckets, bucket_count};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Grid of learned levels, which are those of all buckets of a tensor.
///
/// ```text
/// β = min w,   α = max w − β                        of each bucket
/// Q(w) = β + α · pᵢ,   i = argminⱼ |(w − β) / α − pⱼ|
///
/// ∂Q/∂pᵢ = α for the weights whose nearest level is pᵢ, otherwise 0
/// ∂Q/∂w = 1   (straight-through)
/// ```
///
/// The levels start at equal distances from 0 to 1, as those of a [`UniformGrid`](crate::UniformGrid).
/// Of two levels that are equally near, the first is taken. The last bucket is filled up with the
/// last weight, and the added weights have no gradient.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::LearnedLevelsGrid;
///
/// let device = Device::default().autodiff();
/// let weights = Tensor::<1>::from_data([0.0, 3.0, 4.0, 10.0], &device);
/// let levels = Tensor::<1>::from_data([0.0, 0.3, 0.6, 1.0], &device).require_grad();
///
/// let quantized = LearnedLevelsGrid::new(2, 256).quantize(weights, levels.clone());
/// let grads = quantized.sum().backward();
///
/// // Two weights are nearest to the second level, none to the third.
/// let expected = [10.0, 20.0, 0.0, 10.0_f32];
/// levels.grad(&grads).unwrap().into_data().assert_eq(&expected.into(), false);
/// ```
///
/// # Reference
///
/// A. Polino, R. Pascanu and D. Alistarh, [Model compression via distillation and
/// quantization](https://arxiv.org/abs/1802.05668), ICLR 2018: differentiable quantization.
#[doc(alias = "differentiable quantization")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedLevelsGrid {
    bits: usize,
    bucket_size: usize,
}

impl LearnedLevelsGrid {
    /// Creates a grid of `2^bits` levels for buckets of this number of weights.
    ///
    /// # Panics
    ///
    /// Panics if the bits are not from 1 to 8, or if the buckets have no weights.
    pub fn new(bits: usize, bucket_size: usize) -> Self {
        assert!(
            (1..=8).contains(&bits),
            "The number of bits of learned levels should be from 1 to 8, but is {bits}."
        );
        assert!(
            bucket_size > 0,
            "The size of a bucket should be at least 1, but is 0."
        );
        Self { bits, bucket_size }
    }

    /// Returns the number of levels.
    pub fn level_count(&self) -> usize {
        1 << self.bits
    }

    /// Returns the number of buckets of a tensor with this number of weights.
    pub fn buckets(&self, weights: usize) -> usize {
        bucket_count(weights, self.bucket_size)
    }

    /// Returns the initial levels, at equal distances from 0 to 1. Shape: `[levels]`.
    pub fn initial_levels(&self, device: &Device) -> Tensor<1> {
        let count = self.level_count();
        let levels: Vec<f32> = (0..count)
            .map(|level| level as f32 / (count - 1) as f32)
            .collect();
        Tensor::from_data(TensorData::new(levels, [count]), device)
    }

    /// Rounds every weight to the nearest level of its bucket.
    ///
    /// # Shapes
    ///
    /// - weights, output: `[..]`
    /// - levels: `[levels]`
    pub fn quantize<const D: usize>(&self, weights: Tensor<D>, levels: Tensor<1>) -> Tensor<D> {
        if weights.shape().num_elements() == 0 {
            return weights;
        }
        let fixed = weights.clone().without_autodiff();
        let buckets = Buckets::new(fixed.clone(), self.bucket_size);
        let [rows, size] = buckets.scaled.dims();
        let nearest = nearest(buckets.scaled.clone(), levels.clone().without_autodiff());
        let chosen = levels.gather(0, nearest.reshape([rows * size]));
        let value: Tensor<D> = buckets.tensor(chosen.reshape([rows, size]));
        // The difference is zero, so that the value is on the grid exactly; it carries the gradient.
        weights.sub(fixed).add(value)
    }
}

/// Returns the index of the level that is nearest to each value. It takes memory for a few copies of
/// the values, whatever the number of levels.
fn nearest(values: Tensor<2>, levels: Tensor<1>) -> Tensor<2, Int> {
    let distance = |level: usize| {
        let level = levels.clone().narrow(0, level, 1).reshape([1, 1]);
        values.clone().sub(level).abs()
    };
    let mut least = distance(0);
    let mut index = Tensor::<2, Int>::zeros(values.dims(), &values.device());
    for level in 1..levels.dims()[0] {
        let distance = distance(level);
        let is_nearer = distance.clone().lower(least.clone());
        least = least.mask_where(is_nearer.clone(), distance);
        index = index.mask_fill(is_nearer, level as i64);
    }
    index
}
