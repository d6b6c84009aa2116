//! Selection of the target class and of the others.

use burn::tensor::{Bool, Int, Tensor};

/// Returns true at the class of each row. Shape: `[rows, num_classes]`.
pub(crate) fn is_target(classes: &Tensor<1, Int>, num_classes: usize) -> Tensor<2, Bool> {
    let every: Tensor<2, Int> = Tensor::<1, Int>::arange(0..num_classes as i64, &classes.device())
        .cast(classes.dtype())
        .unsqueeze_dim(0);
    let classes: Tensor<2, Int> = classes.clone().unsqueeze_dim(1);
    // Not `expand`, which refuses a batch of no rows.
    classes.repeat_dim(1, num_classes).equal(every)
}

/// Returns the value at the class of each row. Shape: `[rows, 1]`.
pub(crate) fn at_target(values: Tensor<2>, classes: &Tensor<1, Int>) -> Tensor<2> {
    values.gather(1, classes.clone().unsqueeze_dim(1))
}

/// Returns the logits with the class of each row excluded. Shape: `[rows, num_classes]`.
pub(crate) fn without_target(logits: Tensor<2>, is_target: Tensor<2, Bool>) -> Tensor<2> {
    // Not −∞: where no other class is possible, the softmax of a row of −∞ is NaN.
    logits.mask_fill(is_target, -1e30)
}

/// Computes `log Σₖ exp(values)` of every row that is not all −∞. Shape: `[rows, 1]`.
pub(crate) fn log_sum_exp(values: Tensor<2>) -> Tensor<2> {
    // The derivative of the result by the largest value it was computed from is zero: a constant
    // saves the graph.
    let largest = values.clone().max_dim(1).detach();
    let sum = values.sub(largest.clone()).exp().sum_dim(1);
    sum.log().add(largest)
}
