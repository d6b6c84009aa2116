use super::constant::ones_where;
use super::singular::Singular;
use burn::tensor::Tensor;

/// How many more vectors of the student stand to choose from than there are of the teacher.
const MORE: usize = 3;

/// Where sums of a unit vector below this have no sign.
const NO_SIGN: f64 = 1e-6;

/// What a decomposition takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Orthonormalizations of the block power iteration.
    pub iterations: usize,
    /// Terms of the power series in the gradient.
    pub series: usize,
}

/// The directions among the channels in which a map is largest, as constants, and how large it is:
/// the leading right singular vectors, each with the sign in which its entries have a positive sum.
///
/// A decomposition may return either sign, and a loss that compares layers sees the difference.
///
/// # Shapes
///
/// - map: `[batch_size, channels, height, width]`
/// - output: `[batch_size, channels, min(count, ..)]` and `[batch_size, 1, min(count, ..)]`
pub(crate) fn directions(map: Tensor<4>, count: usize, effort: Effort) -> (Tensor<3>, Tensor<3>) {
    let found = Singular::new(map.without_autodiff(), count + MORE, effort.iterations);
    let (vectors, values) = (found.right_vectors(), found.values());
    let [.., available] = vectors.dims();
    let count = count.min(available);
    (
        canonical(vectors.narrow(2, 0, count)),
        values.narrow(2, 0, count),
    )
}

/// For each of the teacher's directions the nearest of the student's, turned to its side, with its
/// gradient.
///
/// # Shapes
///
/// - map: `[batch_size, channels, height, width]`
/// - teacher, output: `[batch_size, channels, count]`
pub(crate) fn nearest_directions(map: Tensor<4>, teacher: Tensor<3>, effort: Effort) -> Tensor<3> {
    let [_, _, count] = teacher.dims();
    let found = Singular::new(map, count + MORE, effort.iterations);
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
    fn signs_are_those_of_the_sum_or_else_of_the_largest() {
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
