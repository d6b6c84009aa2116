use burn::tensor::{Int, Tensor};

/// Returns the other rows nearest to each row, the nearest first; ties are in any order.
///
/// # Shapes
///
/// - distances: `[rows, rows]`, constants
/// - output: `[rows, count]`
///
/// # Panics
///
/// Panics if there are fewer than `count` other rows.
pub(crate) fn nearest(distances: Tensor<2>, count: usize) -> Tensor<2, Int> {
    let [rows, _] = distances.dims();
    assert!(
        count < rows,
        "Finding {count} neighbors needs at least {} rows, found {rows}.",
        count + 1
    );
    // The row itself is masked instead of skipping the first result, which may be another, equal
    // row.
    let itself = Tensor::<2>::eye(rows, &distances.device()).bool();
    distances
        .neg()
        .mask_fill(itself, f32::NEG_INFINITY)
        .argtopk(count, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn_distill_core::numeric::pairwise_squared_distances;

    #[test]
    fn the_nearest_is_first_and_a_row_is_not_its_own_neighbor() {
        let points = Tensor::<2>::from_data([[0.0], [0.0], [1.0], [5.0]], &Device::default());

        let nearest = nearest(pairwise_squared_distances(points), 2);

        let nearest: Vec<_> = nearest.into_data().iter::<i64>().collect();
        assert_eq!(&nearest[..4], [1, 2, 0, 2]);
        // The order of the two equal rows is not specified.
        let equals = |pair: &[i64]| pair == [0, 1] || pair == [1, 0];
        assert!(equals(&nearest[4..6]), "{nearest:?}");
        assert_eq!(nearest[6], 2);
    }
}
