use crate::numeric::{connected_zero, masked_mean};
use burn::nn::loss::Reduction;
use burn::tensor::{Bool, Tensor};

/// Reduces the losses of rows to one value. Rows outside the mask do not count.
///
/// `Mean`, `BatchMean` and `Auto` are the mean over the rows that count, `Sum` is their sum. If no
/// row counts, the result is a zero that is still connected to the graph.
///
/// # Shapes
///
/// - loss: `[rows]`
/// - mask: `[rows]`, true for the rows that count
/// - output: `[1]`
pub fn reduce_rows(
    loss: Tensor<1>,
    mask: Option<Tensor<1, Bool>>,
    reduction: &Reduction,
) -> Tensor<1> {
    if loss.shape().num_elements() == 0 {
        return connected_zero(loss);
    }
    match reduction {
        Reduction::Mean | Reduction::BatchMean | Reduction::Auto => masked_mean(loss, mask),
        Reduction::Sum => match mask {
            None => loss.sum(),
            Some(mask) => loss.mask_fill(mask.bool_not(), 0.0).sum(),
        },
    }
}
