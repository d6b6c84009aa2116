use burn::tensor::Tensor;

/// Returns the columns of two matrices side by side, also of matrices without rows.
///
/// # Shapes
///
/// - left, right: `[rows, _]`
pub(crate) fn concat_columns(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    let ([rows, width], [_, further]) = (left.dims(), right.dims());
    match rows {
        // The backward pass of `cat` slices, which panics in burn 0.22.1 where there are no rows.
        0 => left
            .sum_dim(1)
            .add(right.sum_dim(1))
            .repeat_dim(1, width + further),
        _ => Tensor::cat(vec![left, right], 1),
    }
}
