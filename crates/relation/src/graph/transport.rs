use burn::tensor::Tensor;

/// Number of steps of Sinkhorn's iteration.
const STEPS: usize = 50;

/// Computes the Sinkhorn divergence between the rows of two distributions: a regularized cost of
/// moving probability between classes.
///
/// ```text
/// OT(p, q) = min over plans π from p to q of Σ π cost + ε KL(π ‖ p qᵀ)
/// S(p, q)  = OT(p, q) − ½ OT(p, p) − ½ OT(q, q)
/// ```
///
/// It is zero where the distributions agree, with a remaining gradient of a few thousandths after
/// 50 steps. The plan is never differentiated: at the optimum the gradient of `OT` with respect to
/// `p` is its dual potential.
///
/// # Shapes
///
/// - p, q: `[rows, num_classes]`
/// - cost: `[num_classes, num_classes]`, symmetric
/// - output: `[rows, 1]`
pub fn sinkhorn_divergence(
    p: Tensor<2>,
    q: Tensor<2>,
    cost: Tensor<2>,
    regularization: f64,
) -> Tensor<2> {
    let q = q.without_autodiff();
    let (log_p, log_q) = (log(p.clone().without_autodiff()), log(q.clone()));
    let cost = cost.without_autodiff().unsqueeze::<3>();
    let between = |log_p: &Tensor<2>, log_q: &Tensor<2>| {
        potentials(log_p.clone(), log_q.clone(), cost.clone(), regularization)
    };
    // For a distribution and itself, both potentials converge to the same values up to a constant.
    let within = |log_p: &Tensor<2>| {
        let (first, second) = between(log_p, log_p);
        first.add(second).div_scalar(2.0)
    };
    let (first, second) = between(&log_p, &log_q);
    let first = first.sub(within(&log_p));
    let second = second.sub(within(&log_q));
    p.mul(first).add(q.mul(second)).sum_dim(1)
}

/// Returns the dual potentials of both distributions. Shape: `[rows, num_classes]` each.
fn potentials(
    log_p: Tensor<2>,
    log_q: Tensor<2>,
    cost: Tensor<3>,
    regularization: f64,
) -> (Tensor<2>, Tensor<2>) {
    // The cost is symmetric, so both distributions read it along the last axis.
    let update = |log_other: &Tensor<2>, other: Tensor<2>| -> Tensor<2> {
        let other = other.unsqueeze_dim::<3>(1).sub(cost.clone());
        let exponents = other
            .div_scalar(regularization)
            .add(log_other.clone().unsqueeze_dim(1));
        log_sum_exp(exponents).mul_scalar(-regularization)
    };
    let mut first = log_p.zeros_like();
    let mut second = log_q.zeros_like();
    for _ in 0..STEPS {
        first = update(&log_q, second);
        second = update(&log_p, first.clone());
    }
    (first, second)
}

/// Returns the logarithm of the sum of exponentials over the last axis, which is removed. Shape:
/// `[rows, num_classes]`.
fn log_sum_exp(values: Tensor<3>) -> Tensor<2> {
    let largest = values.clone().max_dim(2);
    let sum = values.sub(largest.clone()).exp().sum_dim(2);
    sum.log().add(largest).squeeze_dim(2)
}

/// Returns the logarithm, with a finite value for zero that is small enough to be negligible.
fn log(probabilities: Tensor<2>) -> Tensor<2> {
    probabilities.clamp_min(1e-30).log()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn on_a_line_it_is_near_the_distance_of_the_cumulative_distributions() {
        let device = Device::default();
        let p = Tensor::<2>::from_data([[0.7, 0.1, 0.2], [0.0, 0.0, 1.0]], &device);
        let q = Tensor::<2>::from_data([[0.1, 0.3, 0.6], [1.0, 0.0, 0.0]], &device);
        let line =
            Tensor::<2>::from_data([[0.0, 0.5, 1.0], [0.5, 0.0, 0.5], [1.0, 0.5, 0.0]], &device);

        let divergence = sinkhorn_divergence(p, q, line, 0.02);
        let divergence = divergence.into_data().try_to_vec::<f32>().unwrap();

        // |0.7 − 0.1| / 2 + |0.8 − 0.4| / 2, and all the way.
        for (value, expected) in divergence.iter().zip([0.5, 1.0]) {
            assert!((value - expected).abs() < 0.02, "{value} is not {expected}");
        }
    }
}
