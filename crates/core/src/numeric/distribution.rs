use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, assert_shape};

/// Computes the logarithm of the softmax of `logits / temperature` for every row.
///
/// The result is in at least single precision. Logits of −∞ have probability zero.
///
/// # Shapes
///
/// - logits, output: `[rows, num_classes]`
pub fn tempered_log_softmax(logits: Tensor<2>, temperature: f64) -> Tensor<2> {
    let logits = super::at_least_f32(logits);
    // A product, because burn computes the gradient of a quotient by a number in single precision.
    log_softmax(logits.mul_scalar(temperature.recip()), 1)
}

/// Computes the cross-entropy of every row: `−Σₖ pₖ log qₖ`, where `0 · log 0 = 0`.
///
/// # Shapes
///
/// - probabilities: `[rows, num_classes]`, the constant target
/// - log_predictions: `[rows, num_classes]`
/// - output: `[rows]`
///
/// # Panics
///
/// Panics if the shapes differ.
pub fn cross_entropy_rows(probabilities: Tensor<2>, log_predictions: Tensor<2>) -> Tensor<1> {
    let [rows, num_classes] = log_predictions.dims();
    assert_shape!(probabilities, [rows, num_classes]);

    // Where the target is zero, the element is zero even if the logarithm is −∞: 0 · ∞ would be
    // NaN, also in the backward pass.
    let zero = probabilities.clone().equal_scalar(0.0);
    let log_predictions = log_predictions.mask_fill(zero, 0.0);
    probabilities
        .mul(log_predictions)
        .sum_dim(1)
        .squeeze_dim::<1>(1)
        .neg()
}

/// Computes the Kullback–Leibler divergence of every row: `Σₖ pₖ (log pₖ − log qₖ)`, where
/// `0 · log 0 = 0`.
///
/// Gradients flow to both sides; the caller has to detach a constant side.
///
/// # Shapes
///
/// - log_target: `[rows, num_classes]`, `log p`
/// - log_prediction: `[rows, num_classes]`, `log q`
/// - output: `[rows]`
///
/// # Panics
///
/// Panics if the shapes differ.
pub fn kl_divergence_rows(log_target: Tensor<2>, log_prediction: Tensor<2>) -> Tensor<1> {
    let [rows, num_classes] = log_prediction.dims();
    assert_shape!(log_target, [rows, num_classes]);

    let target = log_target.clone().exp();
    // As in the cross-entropy, but for both logarithms, because −∞ − (−∞) is NaN as well.
    let zero = target.clone().equal_scalar(0.0);
    let log_ratio = log_target
        .mask_fill(zero.clone(), 0.0)
        .sub(log_prediction.mask_fill(zero, 0.0));
    target.mul(log_ratio).sum_dim(1).squeeze_dim(1)
}

/// Computes the logarithm of a mixture of two distributions: `log(weight · a + (1 − weight) · b)`.
///
/// It is computed relative to the larger of the two, so it neither overflows nor underflows. Where
/// both are zero, it is −∞ with zero gradient.
///
/// # Shapes
///
/// - log_a, log_b, output: `[rows, num_classes]`
///
/// # Panics
///
/// Panics if `weight` is not between 0 and 1, both excluded.
pub fn log_mixture(log_a: Tensor<2>, log_b: Tensor<2>, weight: f64) -> Tensor<2> {
    assert!(
        weight > 0.0 && weight < 1.0, // This also rejects NaN
        "The weight of a mixture should be above 0 and below 1, got {weight}."
    );
    let log_a = log_a.add_scalar(weight.ln());
    let log_b = log_b.add_scalar((-weight).ln_1p());
    // The derivative of the result by the largest part is zero, so a constant avoids a part of the
    // graph.
    let largest = log_a.clone().max_pair(log_b.clone()).detach();
    let both_zero = largest.clone().equal_scalar(f32::NEG_INFINITY);
    // −∞ − (−∞) is NaN.
    let largest = largest.mask_fill(both_zero.clone(), 0.0);
    let sum = log_a
        .sub(largest.clone())
        .exp()
        .add(log_b.sub(largest.clone()).exp());
    sum.mask_fill(both_zero.clone(), 1.0)
        .log()
        .add(largest)
        .mask_fill(both_zero, f32::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    const LOGITS: [[f32; 3]; 2] = [[1.0, 2.0, f32::NEG_INFINITY], [1e4, -1e4, 0.0]];
    const OTHERS: [[f32; 3]; 2] = [[0.0, 0.5, f32::NEG_INFINITY], [1e4, 0.0, -1e4]];

    fn log_probabilities(logits: [[f32; 3]; 2], device: &Device) -> Tensor<2> {
        tempered_log_softmax(Tensor::from_data(logits, device), 1.0)
    }

    #[test]
    fn divergence_is_finite_for_impossible_classes_and_huge_logits() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data(LOGITS, &device).require_grad();

        let divergence = kl_divergence_rows(
            log_probabilities(OTHERS, &device),
            tempered_log_softmax(logits.clone(), 1.0),
        );
        let grads = divergence.clone().sum().backward();

        // By hand: p = (0.37754, 0.62246), q = (0.26894, 0.73106); the second row agrees.
        divergence
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from([0.027955, 0.0]), Tolerance::default());
        let expected = TensorData::from([[-0.108599, 0.108599, 0.0], [0.0, 0.0, 0.0]]);
        logits
            .grad(&grads)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn cross_entropy_is_finite_for_impossible_classes() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data(LOGITS, &device).require_grad();
        let target = log_probabilities(OTHERS, &device).exp().detach();

        let entropy = cross_entropy_rows(target, tempered_log_softmax(logits.clone(), 1.0));
        let grads = entropy.clone().sum().backward();

        // −(0.37754 ln 0.26894 + 0.62246 ln 0.73106)
        entropy
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from([0.690803, 0.0]), Tolerance::default());
        let grad = logits.grad(&grads).unwrap();
        assert!(!grad.contains_nan().into_scalar::<bool>());
    }

    #[test]
    fn temperature_divides_the_logits() {
        let device = Device::default();
        let warm = tempered_log_softmax(Tensor::from_data([[2.0, 4.0]], &device), 2.0);

        let expected = tempered_log_softmax(Tensor::from_data([[1.0, 2.0]], &device), 1.0);
        warm.into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::default());
    }

    #[test]
    fn mixtures_are_finite_for_impossible_classes() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data(LOGITS, &device).require_grad();

        let log_q = tempered_log_softmax(logits.clone(), 1.0);
        let mixture = log_mixture(log_probabilities(OTHERS, &device), log_q, 0.25);
        let grads = mixture.clone().exp().sum().backward();

        // 0.25 · (0.37754, 0.62246, 0) + 0.75 · (0.26894, 0.73106, 0), and two certain rows.
        let expected = TensorData::from([[0.296091, 0.703909, 0.0], [1.0, 0.0, 0.0]]);
        mixture
            .exp()
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
        let gradient = logits.grad(&grads).unwrap();
        assert!(!gradient.contains_nan().into_scalar::<bool>());
    }

    #[test]
    #[should_panic(expected = "should be above 0 and below 1, got 1")]
    fn a_mixture_needs_a_weight_for_both_parts() {
        let log_a = Tensor::zeros([1, 2], &Device::default());
        log_mixture(log_a.clone(), log_a, 1.0);
    }
}
