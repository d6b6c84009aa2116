use super::constant::matrix;
use super::eigenpairs::Eigenpairs;
use super::jacobi;
use burn::tensor::Tensor;
use burn_distill_core::numeric::l2_normalize;

/// Computes the leading eigenpairs of positive semidefinite matrices by block power iteration.
///
/// ```text
/// Q ← orthonormalize(A A Q), `iterations` times; then the eigenpairs of Qᵀ A Q
/// ```
///
/// The last step separates the vectors within the block, so their eigenvalues may be arbitrarily
/// close; only the eigenvalues after the block must be smaller. Vectors and values beyond the rank
/// of a matrix are zero.
///
/// # Shapes
///
/// - positive: `[batch_size, size, size]`, a constant
pub(super) fn leading_eigenpairs(
    positive: Tensor<3>,
    count: usize,
    iterations: usize,
) -> Eigenpairs {
    let [batch_size, size, _] = positive.dims();
    let found = if size <= count {
        jacobi::eigenpairs(positive)
    } else {
        let mut block = start([size, count], &positive).expand([batch_size, size, count]);
        for _ in 0..iterations {
            // Two products per orthonormalization, which needs more kernel launches than a product.
            block = orthonormal(positive.clone().matmul(positive.clone().matmul(block)));
        }
        let image = positive.matmul(block.clone());
        let small = block.clone().swap_dims(1, 2).matmul(image);
        let found = jacobi::eigenpairs(small);
        Eigenpairs {
            vectors: block.matmul(found.vectors),
            values: found.values,
        }
    };
    found.without_rounding()
}

/// Returns the initial block: a constant column, which is near the leading vector of non-negative
/// features, then columns without a preferred direction.
fn start(shape: [usize; 2], like: &Tensor<3>) -> Tensor<3> {
    let entry = |row: usize, column: usize| match column {
        0 => 1.0,
        _ => (1.7 * (row + 1) as f64 * column as f64 + 0.3 * (row * row) as f64).sin(),
    };
    matrix(shape, entry, like)
}

/// Orthonormalizes the columns by Gram–Schmidt. The former columns are subtracted twice, because
/// rounding errors remain after the first time.
fn orthonormal(block: Tensor<3>) -> Tensor<3> {
    let [_, _, count] = block.dims();
    let mut done = l2_normalize(block.clone().narrow(2, 0, 1), 1);
    for index in 1..count {
        let mut column = l2_normalize(block.clone().narrow(2, index, 1), 1);
        for _ in 0..2 {
            let known = done.clone().swap_dims(1, 2).matmul(column.clone());
            column = column.sub(done.clone().matmul(known));
        }
        done = Tensor::cat(vec![done, l2_normalize(column, 1)], 2);
    }
    done
}
