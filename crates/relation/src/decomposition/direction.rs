use super::constant::ones_where;
use super::singular::Singular;
use burn::tensor::Tensor;

/// Number of candidate vectors of the student beyond the number of the teacher's vectors.
const EXTRA_CANDIDATES: usize = 3;

/// Sums of a unit vector below this are rounding errors: their sign is not used.
const NO_SIGN: f64 = 1e-6;

/// Computational effort of a decomposition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Number of orthonormalizations of the block power iteration.
    pub iterations: usize,
    /// Number of terms of the power series in the gradient.
    pub series: usize,
}

/// Returns the leading right singular vectors of a map and their singular values, as constants. The
/// vectors are directions among the channels; each has the sign that makes the sum of its entries
/// positive.
///
/// The sign of a singular vector is arbitrary, but a loss that compares layers depends on it.
///
/// # Shapes
///
/// - map: `[batch_size, channels, height, width]`
/// - output: `[batch_size, channels, min(count, ..)]` and `[batch_size, 1, min(count, ..)]`
pub(crate) fn directions(map: Tensor<4>, count: usize, effort: Effort) -> (Tensor<3>, Tensor<3>) {
    let found = Singular::new(
        map.without_autodiff(),
        count + EXTRA_CANDIDATES,
        effort.iterations,
    );
    let (vectors, values) = (found.right_vectors(), found.values());
    let [.., available] = vectors.dims();
    let count = count.min(available);
    (
        canonical(vectors.narrow(2, 0, count)),
        values.narrow(2, 0, count),
    )
}

/// Returns, for each of the teacher's directions, the nearest of the student's directions with the
/// matching sign, and with its gradient.
///
/// # Shapes
///
/// - map: `[batch_size, channels, height, width]`
/// - teacher, output: `[batch_size, channels, count]`
pub(crate) fn nearest_directions(map: Tensor<4>, teacher: Tensor<3>, effort: Effort) -> Tensor<3> {
    let [_, _, count] = teacher.dims();
    let found = Singular::new(map, count + EXTRA_CANDIDATES, effort.iterations);
    let cosine = found.right_vectors().swap_dims(1, 2).matmul(teacher);
    let distance = cosine.clone().abs().sub(cosine.clone().abs().max_dim(1));
    let nearest = ones_where(distance.clone().equal_scalar(0.0), &distance);
    found.select(cosine.sign().mul(nearest), effort.series)
}

fn canonical(vectors: Tensor<3>) -> Tensor<3> {
    let sum = vectors.clone().sum_dim(1);
    let largest = vectors.clone().gather(1, vectors.clone().abs().argmax(1));
    let undecided = sum.clone().abs().lower_equal_scalar(NO_SIGN);
    let negative = sum.mask_where(undecided, largest).lower_scalar(0.0);
    let negative = negative.expand(vectors.shape());
    vectors.clone().mask_where(negative, vectors.neg())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn the_sign_comes_from_the_sum_or_else_the_largest_entry() {
        let vectors = Tensor::<3>::from_data(
            [[[-0.9, 0.6, 0.0], [0.1, -0.6, 0.0], [0.1, -0.0, 0.0]]],
            &Device::default(),
        );

        canonical(vectors).into_data().assert_approx_eq::<f32>(
            &TensorData::from([[[0.9, 0.6, 0.0], [-0.1, -0.6, 0.0], [-0.1, 0.0, 0.0]]]),
            Tolerance::default(),
        );
    }
}
