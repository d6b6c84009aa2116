use burn::tensor::{Bool, Tensor, assert_shape};

/// Sets the padding of a sequence to zero, so that its values cannot cause NaN in a loss or in a
/// gradient.
///
/// # Shapes
///
/// - sequence, output: `[batch_size, length, features]`
/// - mask: `[batch_size, length]`, true for the tokens that count; `None` if all tokens count
///
/// # Panics
///
/// Panics if the batch size or the length of the mask is not that of the sequence.
pub fn zero_padding(sequence: Tensor<3>, mask: Option<&Tensor<2, Bool>>) -> Tensor<3> {
    let Some(mask) = mask else {
        return sequence;
    };
    let [batch_size, length, _] = sequence.dims();
    assert_shape!(mask, [batch_size, length]);
    let padding = mask.clone().bool_not().unsqueeze_dim::<3>(2);
    let padding = padding.expand(sequence.shape());
    sequence.mask_fill(padding, 0.0)
}

/// Sets the rows that do not count to zero.
///
/// Masking only the losses of these rows would not be enough, because zero times NaN is NaN in the
/// backward pass.
///
/// # Shapes
///
/// - rows, output: `[rows, features]`
/// - mask: `[rows]`, true for the rows that count; `None` if all rows count
///
/// # Panics
///
/// Panics if the length of the mask is not the number of rows.
pub fn zero_rows(rows: Tensor<2>, mask: Option<&Tensor<1, Bool>>) -> Tensor<2> {
    let Some(mask) = mask else {
        return rows;
    };
    let [count, features] = rows.dims();
    assert_shape!(mask, [count]);
    let others: Tensor<2, Bool> = mask.clone().bool_not().unsqueeze_dim(1);
    // Not `expand`, which does not accept an empty batch.
    rows.mask_fill(others.repeat_dim(1, features), 0.0)
}
