use burn::tensor::Tensor;

/// Steps of the minimization.
const STEPS: usize = 50;

/// Larger than any coordinate; not an infinity, which shaders need not represent.
const FAR: f32 = 1e30;

/// Minimizes `αᵀ G α` over `Σ α = 1`, `0 ≤ α ≤ cap` by 50 accelerated steps of projected gradient
/// descent, on the device of `gram`.
///
/// `G` holds the products of several gradients: the weights `α` are those of their shortest
/// weighted sum, to about three digits.
///
/// # Shapes
///
/// - gram: `[gradients, gradients]`, positive semidefinite
/// - output: `[1, gradients]`
pub fn smallest_combination(gram: Tensor<2>, cap: f64) -> Tensor<2> {
    let [gradients, _] = gram.dims();
    // At least the largest eigenvalue; zero only if all gradients are zero, where any weights do.
    let largest = gram.clone().abs().sum_dim(1).max_dim(0);
    let zero = largest.clone().equal_scalar(0.0);
    let gram = gram.div(
        largest
            .mask_fill(zero, 1.0)
            .repeat_dim(0, gradients)
            .repeat_dim(1, gradients),
    );
    let mut weights = Tensor::full(
        [1, gradients],
        1.0 / gradients as f64,
        (&gram.device(), gram.dtype()),
    );
    let mut extrapolated = weights.clone();
    let mut momentum = 1.0_f64;
    for _ in 0..STEPS {
        let gradient = extrapolated.clone().matmul(gram.clone());
        let next = project(extrapolated.sub(gradient), cap);
        let following = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt());
        let change = next.clone().sub(weights);
        extrapolated = next
            .clone()
            .add(change.mul_scalar((momentum - 1.0) / following));
        weights = next;
        momentum = following;
    }
    weights
}

/// Returns the point of `Σ α = 1`, `0 ≤ α ≤ cap` that is nearest to a vector: `clamp(v − τ, 0,
/// cap)` for the `τ` where the sum is one.
///
/// # Shapes
///
/// - vector, output: `[1, gradients]`
fn project(vector: Tensor<2>, cap: f64) -> Tensor<2> {
    let [_, gradients] = vector.dims();
    let at = |tau: Tensor<2>, vector: Tensor<2>| {
        let [rows, columns] = [tau.dims()[0], vector.dims()[1]];
        vector
            .repeat_dim(0, rows)
            .sub(tau.repeat_dim(1, columns))
            .clamp(0.0, cap)
    };
    // The sum falls with τ, along straight lines between these points.
    let points = Tensor::cat(vec![vector.clone(), vector.clone().sub_scalar(cap)], 1)
        .reshape([2 * gradients, 1]);
    let sums = at(points.clone(), vector.clone()).sum_dim(1);
    let below = sums.clone().lower_elem(1.0 - 1e-6);
    let above = sums.clone().greater_elem(1.0);
    let [low, high] = [
        points.clone().mask_fill(below.clone(), -FAR).max_dim(0),
        points.mask_fill(above.clone(), FAR).min_dim(0),
    ];
    let [sum_at_low, sum_at_high] = [
        sums.clone().mask_fill(below, FAR).min_dim(0),
        sums.mask_fill(above, -FAR).max_dim(0),
    ];
    let share = sum_at_low
        .clone()
        .sub_scalar(1.0)
        .div(sum_at_low.sub(sum_at_high).clamp_min(1e-12))
        .clamp(0.0, 1.0);
    let tau = low.clone().add(high.sub(low).mul(share));
    at(tau, vector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn projected(vector: [f32; 3], cap: f64) -> Vec<f32> {
        let vector = Tensor::from_data([vector], &Device::default());
        project(vector, cap).into_data().iter().collect()
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn projections_are_those_by_hand() {
        close(&projected([0.2, 0.3, 0.5], 1.0), &[0.2, 0.3, 0.5]);
        close(&projected([1.0, 1.0, 1.0], 1.0), &[1.0 / 3.0; 3]);
        close(&projected([5.0, 0.0, 0.0], 1.0), &[1.0, 0.0, 0.0]);
        // τ = 4.4 caps the first; the rest is shared.
        close(&projected([5.0, 0.0, 0.0], 0.6), &[0.6, 0.2, 0.2]);
        close(&projected([5.0, 1.0, 0.0], 0.6), &[0.6, 0.4, 0.0]);
        // Only one point is left.
        close(&projected([5.0, 1.0, 0.0], 1.0 / 3.0), &[1.0 / 3.0; 3]);
    }

    #[test]
    fn opposite_gradients_cancel_out_and_equal_ones_share() {
        let device = Device::default();
        let solve = |gram: [[f32; 3]; 3], cap| -> Vec<f32> {
            let weights = smallest_combination(Tensor::from_data(gram, &device), cap);
            weights.into_data().iter().collect()
        };

        // Gradients 1, −1 and 10 along one axis: the first two cancel out.
        let gram = [[1.0, -1.0, 10.0], [-1.0, 1.0, -10.0], [10.0, -10.0, 100.0]];
        let found = solve(gram, 0.6);
        let sum = found[0] - found[1] + 10.0 * found[2];
        assert!(sum.abs() < 1e-2, "{found:?}");
        // Orthogonal gradients of lengths 1, 2 and 2: in proportion to 1 / length².
        let gram = [[1.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]];
        close(&solve(gram, 1.0), &[2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0]);
        close(&solve(gram, 0.6), &[0.6, 0.2, 0.2]);
        close(&solve([[0.0; 3]; 3], 0.6), &[1.0 / 3.0; 3]);
    }
}
