use burn::tensor::{Bool, Tensor, assert_shape};

/// Returns the sequence with zeros in place of its padding, so that nothing there can turn into NaN,
/// in a value or in a gradient.
///
/// # Shapes
///
/// - sequence, output: `[batch_size, length, features]`
/// - mask: `[batch_size, length]`, true for the tokens that count; all of them without a mask
///
/// # Panics
///
/// Panics if the mask is not one of these tokens.
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

/// Returns the rows with zeros in place of those that do not count.
///
/// To fill the loss of these rows alone would not do: zero times a NaN is a NaN in the backward pass.
///
/// # Shapes
///
/// - rows, output: `[rows, features]`
/// - mask: `[rows]`, true for the rows that count; all of them without a mask
///
/// # Panics
///
/// Panics if the mask is not one of these rows.
pub fn zero_rows(rows: Tensor<2>, mask: Option<&Tensor<1, Bool>>) -> Tensor<2> {
    let Some(mask) = mask else {
        return rows;
    };
    let [count, features] = rows.dims();
    assert_shape!(mask, [count]);
    let others: Tensor<2, Bool> = mask.clone().bool_not().unsqueeze_dim(1);
    // Not `expand`, which refuses a batch of no rows.
    rows.mask_fill(others.repeat_dim(1, features), 0.0)
}
