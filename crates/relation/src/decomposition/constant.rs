use burn::tensor::{Bool, Tensor, TensorData};

/// Returns a matrix with the entries that a function computes, on the device and in the precision
/// of `like`.
///
/// # Shapes
///
/// - output: `[1, rows, columns]`
pub(super) fn matrix(
    [rows, columns]: [usize; 2],
    entry: impl Fn(usize, usize) -> f64,
    like: &Tensor<3>,
) -> Tensor<3> {
    let entry = &entry;
    let values: Vec<f64> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| entry(row, column)))
        .collect();
    let data = TensorData::new(values, [1, rows, columns]);
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// Returns 1 where the condition holds and 0 elsewhere, in the precision of `like`.
pub(super) fn ones_where(condition: Tensor<3, Bool>, like: &Tensor<3>) -> Tensor<3> {
    like.zeros_like().mask_fill(condition, 1.0)
}
