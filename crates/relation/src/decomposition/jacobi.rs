use super::constant::{matrix, ones_where};
use super::eigenpairs::Eigenpairs;
use burn::tensor::Tensor;

/// Number of passes over all pairs of axes. Convergence is quadratic: after the fourth pass the
/// remainder is below double precision.
const SWEEPS: usize = 6;

/// Computes all eigenpairs of small symmetric matrices by Jacobi rotations, the largest first.
///
/// The rotations of one round act on disjoint pairs of axes, so each round is one product with an
/// orthogonal matrix. The number of rounds is fixed.
///
/// # Shapes
///
/// - symmetric: `[batch_size, size, size]`
pub(super) fn eigenpairs(symmetric: Tensor<3>) -> Eigenpairs {
    let [batch_size, size, _] = symmetric.dims();
    let identity = matrix([size, size], |i, j| f64::from(i == j), &symmetric);
    let rounds: Vec<_> = rounds(size)
        .into_iter()
        .map(|pairs| {
            let meet = |i, j| f64::from(pairs.contains(&(i, j)));
            matrix([size, size], meet, &symmetric)
        })
        .collect();

    let mut vectors = identity.clone().expand([batch_size, size, size]);
    let mut symmetric = symmetric;
    for _ in 0..SWEEPS {
        for pairs in &rounds {
            let rotation = rotation(&symmetric, pairs, &identity);
            let turned = rotation.clone().swap_dims(1, 2).matmul(symmetric);
            symmetric = turned.matmul(rotation.clone());
            vectors = vectors.matmul(rotation);
        }
    }
    let values = symmetric.mul(identity).sum_dim(1);
    let order = order(&values);
    Eigenpairs {
        vectors: vectors.matmul(order.clone()),
        values: values.matmul(order),
    }
}

/// Returns the rotation that diagonalizes each of these pairs of axes.
///
/// With `d = hⱼⱼ − hᵢᵢ`, the smaller of the two angles has
/// `tan = sign(d) · 2 hᵢⱼ / (|d| + √(d² + 4 hᵢⱼ²))`.
fn rotation(symmetric: &Tensor<3>, pairs: &Tensor<3>, identity: &Tensor<3>) -> Tensor<3> {
    let diagonal = symmetric.clone().mul(identity.clone()).sum_dim(1);
    let gap = diagonal.clone().sub(diagonal.swap_dims(1, 2));
    let twice = symmetric.clone().mul_scalar(2.0);
    let root = gap.clone().square().add(twice.clone().square()).sqrt();
    let size = gap.clone().abs().add(root);
    // No rotation for equal axes whose off-diagonal entry is zero.
    let size = size.clone().mask_fill(size.lower_equal_scalar(0.0), 1.0);
    let tangent = twice.div(size).mul(pairs.clone());
    let tangent = tangent
        .clone()
        .mask_where(gap.lower_scalar(0.0), tangent.neg());

    let cosine = tangent.clone().square().add_scalar(1.0).sqrt().recip();
    let sine = tangent.mul(cosine.clone());
    // Zero except for the pairs, each of which is above the diagonal.
    let less = cosine.sub_scalar(1.0);
    let on_axis = less.clone().sum_dim(2).add(less.sum_dim(1).swap_dims(1, 2));
    identity
        .clone()
        .mul(on_axis.add_scalar(1.0))
        .add(sine.clone())
        .sub(sine.swap_dims(1, 2))
}

/// Returns the permutation that sorts the values in descending order. The ranks are counted,
/// because sorting would read the values back on some backends.
///
/// # Shapes
///
/// - values: `[batch_size, 1, size]`
/// - output: `[batch_size, size, size]`
fn order(values: &Tensor<3>) -> Tensor<3> {
    let [_, _, size] = values.dims();
    let ahead = values.clone().sub(values.clone().swap_dims(1, 2));
    let earlier = matrix([size, size], |i, j| f64::from(j < i), values);
    let larger = ones_where(ahead.clone().greater_scalar(0.0), &ahead);
    let equal = ones_where(ahead.clone().equal_scalar(0.0), &ahead).mul(earlier);
    let rank = larger.add(equal).sum_dim(2);
    let place = matrix([1, size], |_, j| j as f64, values);
    let distance = rank.sub(place);
    ones_where(distance.clone().abs().lower_scalar(0.5), &distance)
}

/// Returns every pair `i < j` once, in rounds of disjoint pairs, as in a round-robin tournament.
fn rounds(size: usize) -> Vec<Vec<(usize, usize)>> {
    // With an odd number, the axis paired with the added one rests in that round.
    let players = size + size % 2;
    let circle = players.saturating_sub(1);
    let rounds = (0..circle).map(|round| {
        (0..players / 2)
            .map(|i| match i {
                0 => (round, circle),
                _ => ((round + i) % circle, (round + circle - i) % circle),
            })
            .map(|(a, b)| (a.min(b), a.max(b)))
            .filter(|&(_, b)| b < size)
            .collect()
    });
    rounds.filter(|pairs: &Vec<_>| !pairs.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, TensorData, Tolerance};
    use std::collections::BTreeSet;

    #[test]
    fn every_pair_meets_once_in_disjoint_rounds() {
        for size in 1..8 {
            let rounds = rounds(size);
            let mut met = BTreeSet::new();
            for pairs in rounds {
                let mut seen = BTreeSet::new();
                for (i, j) in pairs {
                    assert!(i < j && seen.insert(i) && seen.insert(j) && met.insert((i, j)));
                }
            }
            assert_eq!(met.len(), size * (size - 1) / 2);
        }
    }

    #[test]
    fn eigenpairs_reproduce_the_matrix_in_order() {
        let device = Device::flex();
        for size in 1..7 {
            let values: Vec<f64> = (0..3 * size * size)
                .map(|n| (0.7 * n as f64).sin())
                .collect();
            let data = TensorData::new(values, [3, size, size]);
            let half = Tensor::<3>::from_data(data, (&device, DType::F64));
            let symmetric = half.clone().add(half.swap_dims(1, 2));

            let Eigenpairs { vectors, values } = eigenpairs(symmetric.clone());

            let found = vectors
                .clone()
                .mul(values.clone())
                .matmul(vectors.clone().swap_dims(1, 2));
            let tolerance = Tolerance::absolute(1e-12);
            found
                .into_data()
                .assert_approx_eq::<f64>(&symmetric.into_data(), tolerance);
            let unit = vectors.clone().swap_dims(1, 2).matmul(vectors);
            let identity = matrix([size, size], |i, j| f64::from(i == j), &unit);
            unit.into_data()
                .assert_approx_eq::<f64>(&identity.expand([3, size, size]).into_data(), tolerance);
            let values: Vec<f64> = values.into_data().iter::<f64>().collect();
            for row in values.chunks(size) {
                assert!(row.is_sorted_by(|a, b| a >= b), "{row:?}");
            }
        }
    }

    #[test]
    fn equal_and_zero_eigenvalues_are_in_order_too() {
        let device = Device::default();
        for scale in [0.0, 2.0] {
            let symmetric = Tensor::<2>::eye(4, &device)
                .mul_scalar(scale)
                .unsqueeze::<3>();

            let Eigenpairs { vectors, values } = eigenpairs(symmetric);

            vectors.into_data().assert_eq(
                &Tensor::<2>::eye(4, &device).unsqueeze::<3>().into_data(),
                false,
            );
            values
                .into_data()
                .assert_eq(&TensorData::from([[[scale as f32; 4]]]), false);
        }
    }
}
