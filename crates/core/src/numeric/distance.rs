use burn::tensor::Tensor;

/// Computes the squared Euclidean distance of every pair of rows.
///
/// ```text
/// d²ᵢⱼ = ‖xᵢ‖² + ‖xⱼ‖² − 2 xᵢ·xⱼ,    x = input − mean of the rows
/// ```
///
/// Centering has no effect in exact arithmetic, but in floating point it avoids the cancellation of
/// the three parts far from the origin. The result is symmetric, never negative, and exactly zero
/// on the diagonal. The distance of equal rows is exactly zero if a matrix product rounds equal
/// rows alike.
///
/// # Shapes
///
/// - input: `[rows, features]`
/// - output: `[rows, rows]`
pub fn pairwise_squared_distances(input: Tensor<2>) -> Tensor<2> {
    let [rows, _] = input.dims();
    let centered = input.clone().sub(input.mean_dim(0));
    let product = centered.clone().matmul(centered.transpose());
    let diagonal = Tensor::<2>::eye(rows, &product.device()).bool();
    // From the product itself, because a sum of squares is rounded differently, which would give
    // equal rows a distance.
    let square = product
        .clone()
        .mask_fill(diagonal.clone().bool_not(), 0.0)
        .sum_dim(1);
    let distance = square
        .clone()
        .add(square.transpose())
        .sub(product.mul_scalar(2.0))
        .clamp_min(0.0);
    distance.mask_fill(diagonal, 0.0)
}

/// Computes the Euclidean distance of every pair of rows, with zero gradient for equal rows.
///
/// # Shapes
///
/// - input: `[rows, features]`
/// - output: `[rows, rows]`
pub fn pairwise_distances(input: Tensor<2>) -> Tensor<2> {
    // Below the rounding error of the squared distance of unit vectors, values are only noise.
    const EPS: f64 = 1e-12;
    let square = pairwise_squared_distances(input);
    let zero = square.clone().lower_equal_scalar(EPS);
    square
        .mask_fill(zero.clone(), 1.0)
        .sqrt()
        .mask_fill(zero, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    const POINTS: [[f64; 2]; 3] = [[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]];

    #[test]
    fn distances_of_a_triangle() {
        let points = Tensor::<2>::from_data(POINTS, &Device::default());

        let expected = TensorData::from([[0.0, 5.0, 0.0], [5.0, 0.0, 5.0], [0.0, 5.0, 0.0]]);
        pairwise_distances(points)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn equal_rows_have_finite_gradients() {
        let points = Tensor::<2>::from_data(POINTS, &Device::default().autodiff()).require_grad();

        let grads = pairwise_distances(points.clone()).sum().backward();

        // Only the third point contributes to the gradient of the two equal points, once per order.
        let expected = TensorData::from([[-1.2, -1.6], [2.4, 3.2], [-1.2, -1.6]]);
        points
            .grad(&grads)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-4));
    }

    #[test]
    fn equal_rows_have_no_distance_after_rounding() {
        let device = Device::default();
        let half = Tensor::arange(0..16 * 333, &device)
            .float()
            .sin()
            .mul_scalar(1e3)
            .reshape([16, 333]);
        let points = Tensor::cat(vec![half.clone(), half], 0);

        let distances = pairwise_squared_distances(points);

        let between_equals = distances.slice([0..16, 16..32]);
        let between_equals = between_equals.mul(Tensor::eye(16, &device));
        between_equals
            .into_data()
            .assert_eq(&TensorData::zeros::<f32, _>([16, 16]), true);
    }

    #[test]
    fn far_from_the_origin_distances_stay_exact() {
        let device = Device::default();
        let points = Tensor::<2>::from_data([[0.0, 0.0], [0.5, 0.0]], &device).add_scalar(1000.0);

        let distances = pairwise_squared_distances(points);

        let distance = distances.slice([0..1, 1..2]).into_scalar::<f32>();
        assert!((distance - 0.25).abs() < 1e-6, "{distance}");
    }
}
