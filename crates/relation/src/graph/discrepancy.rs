use burn::tensor::Tensor;
use burn_distill_core::numeric::{connected_zero, pairwise_squared_distances};

/// Computes the unbiased estimate of the squared maximum mean discrepancy (MMD²) of two samples.
///
/// ```text
/// k(x, y) = exp(−‖x − y‖² / mean squared distance of two different rows of both)
/// MMD²    = mean over i ≠ j of k(xᵢ, xⱼ) + k(yᵢ, yⱼ) − k(xᵢ, yⱼ) − k(xⱼ, yᵢ)
/// ```
///
/// The mean squared distance is a constant. The estimate is zero for fewer than two rows.
///
/// # Shapes
///
/// - x, y: `[rows, features]`
/// - output: `[1]`
pub fn squared_discrepancy(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    let [rows, _] = x.dims();
    if rows < 2 {
        return connected_zero(x);
    }
    let both = 2 * rows;
    let distances = pairwise_squared_distances(Tensor::cat(vec![x, y], 0));

    let bandwidth = distances.clone().without_autodiff().sum();
    let bandwidth = bandwidth.div_scalar((both * (both - 1)) as f64);
    // If all rows are equal, any positive bandwidth gives the same result.
    let same = bandwidth.clone().equal_scalar(0.0);
    let bandwidth = bandwidth.mask_fill(same, 1.0).unsqueeze::<2>();

    let kernel = distances.div(bandwidth).neg().exp();
    let xx = kernel.clone().slice([0..rows, 0..rows]);
    let yy = kernel.clone().slice([rows..both, rows..both]);
    let xy = kernel.slice([0..rows, rows..both]);
    let sum = xx.add(yy).sub(xy.clone()).sub(xy.transpose());
    let diagonal = Tensor::<2>::eye(rows, &sum.device()).bool();
    sum.mask_fill(diagonal, 0.0)
        .sum()
        .div_scalar((rows * (rows - 1)) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn agrees_with_the_double_sum_in_double_precision() {
        let device = Device::default().autodiff();
        let rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.5]];
        let x = Tensor::<2>::from_data(rows, &device).require_grad();
        let y = [[1.0, 2.0], [0.0, 1.0], [1.0, 0.0], [2.0, 1.0]];

        let value = squared_discrepancy(x.clone(), Tensor::from_data(y, &device));
        let grads = value.clone().backward();

        let value = value.into_scalar::<f64>();
        assert!((value + 0.127755083).abs() < 1e-6, "{value}");
        let norm = x.grad(&grads).unwrap().square().sum().sqrt();
        let norm = norm.into_scalar::<f64>();
        assert!((norm - 0.280650252).abs() < 1e-5, "{norm}");
    }
}
