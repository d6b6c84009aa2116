use super::constant::matrix;
use super::eigenpairs::Eigenpairs;
use super::jacobi;
use burn::tensor::Tensor;
use burn_distill_core::numeric::l2_normalize;

/// The leading eigenpairs of positive semidefinite matrices, by block power iteration.
///
/// ```text
/// Q ← orthonormalize(A A Q), `iterations` times; then the eigenpairs of Qᵀ A Q
/// ```
///
/// The last step separates what the block contains, so neighbors within it may be as close as they
/// like; what matters is that the values after the block are smaller. Where a matrix has nothing,
/// the vectors and values are zero.
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
            // Twice between two orthonormalizations, which cost more launches than a product.
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

/// Where the iteration starts: all axes alike, where the leading vector of non-negative features is
/// near, then columns of no particular direction.
fn start(shape: [usize; 2], like: &Tensor<3>) -> Tensor<3> {
    let entry = |row: usize, column: usize| match column {
        0 => 1.0,
        _ => (1.7 * (row + 1) as f64 * column as f64 + 0.3 * (row * row) as f64).sin(),
    };
    matrix(shape, entry, like)
}

/// Gram–Schmidt over the columns. Each is cleared of the former ones twice: once leaves what
/// rounding put back.
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
