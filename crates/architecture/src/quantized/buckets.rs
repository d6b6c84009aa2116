use burn::tensor::{Shape, Tensor};

/// Range below which the weights of a bucket are treated as equal, as in the authors' code.
const CONSTANT: f64 = 1e-10;

/// Weights of a tensor in buckets of consecutive weights, scaled so that those of each bucket are
/// from 0 to 1. They have no gradient.
pub(super) struct Buckets {
    /// Scaled weights. Shape: `[buckets, bucket_size]`.
    pub scaled: Tensor<2>,
    /// Smallest weight of each bucket. Shape: `[buckets, 1]`.
    smallest: Tensor<2>,
    /// Range of each bucket, or 1 if its weights are equal. Shape: `[buckets, 1]`.
    range: Tensor<2>,
    shape: Shape,
}

/// Returns the number of buckets of a tensor with this number of weights.
pub(super) fn bucket_count(weights: usize, bucket_size: usize) -> usize {
    weights.div_ceil(bucket_size)
}

impl Buckets {
    /// Puts the weights of a tensor, of which there is at least one, into buckets. The last bucket
    /// is filled up with the last weight.
    pub fn new<const D: usize>(weights: Tensor<D>, bucket_size: usize) -> Self {
        let shape = weights.shape();
        let count = shape.num_elements();
        let buckets = bucket_count(count, bucket_size);
        // A bucket of a small tensor is the tensor itself: more copies of its last weight would not
        // change its range.
        let size = bucket_size.min(count);
        let flat: Tensor<1> = weights.without_autodiff().reshape([count]);
        let filled = match buckets * size - count {
            0 => flat,
            missing => {
                let last = flat.clone().narrow(0, count - 1, 1);
                Tensor::cat(vec![flat, last.repeat_dim(0, missing)], 0)
            }
        };
        let rows: Tensor<2> = filled.reshape([buckets, size]);

        let smallest = rows.clone().min_dim(1);
        let range = rows.clone().max_dim(1).sub(smallest.clone());
        let constant = range.clone().lower_elem(CONSTANT);
        let range = range.mask_fill(constant, 1.0);
        Self {
            scaled: rows.sub(smallest.clone()).div(range.clone()),
            smallest,
            range,
            shape,
        }
    }

    /// Returns the tensor whose scaled weights are these. Shape: `[buckets, bucket_size]`.
    pub fn tensor<const D: usize>(self, scaled: Tensor<2>) -> Tensor<D> {
        let [buckets, size] = scaled.dims();
        let rows = scaled.mul(self.range).add(self.smallest);
        let flat: Tensor<1> = rows.reshape([buckets * size]);
        flat.narrow(0, 0, self.shape.num_elements())
            .reshape(self.shape)
    }
}
