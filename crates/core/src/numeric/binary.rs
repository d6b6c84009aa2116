use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Tensor, assert_shape};

/// Computes the binary cross-entropy of every element:
/// `−p log σ(z) − (1 − p) log(1 − σ(z))`, where `σ` is the sigmoid function.
///
/// It is computed from logits, so that it is finite for huge ones. The result is in at least single
/// precision.
///
/// # Shapes
///
/// - probabilities: `[rows, num_classes]`, the constant target, from 0 to 1
/// - logits: `[rows, num_classes]`
/// - output: `[rows, num_classes]`
///
/// # Panics
///
/// Panics if the shapes differ.
pub fn binary_cross_entropy(probabilities: Tensor<2>, logits: Tensor<2>) -> Tensor<2> {
    let [rows, num_classes] = logits.dims();
    assert_shape!(probabilities, [rows, num_classes]);

    let logits = super::at_least_f32(logits);
    let probabilities = super::as_precise_as(probabilities.without_autodiff(), &logits);
    // 1 − σ(z) = σ(−z), whose logarithm is exact where that of σ(z) is not small.
    let against = probabilities.clone().neg().add_scalar(1.0);
    probabilities
        .mul(log_sigmoid(logits.clone()))
        .add(against.mul(log_sigmoid(logits.neg())))
        .neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn values_and_gradients_are_those_by_hand() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data([[0.0, 2.0, -1.0]], &device).require_grad();
        let target = Tensor::from_data([[1.0, 0.0, 0.25]], &device);

        let loss = binary_cross_entropy(target, logits.clone());
        let grads = loss.clone().sum().backward();

        // ln 2; 2 + ln(1 + e⁻²); 0.25 · 1.313262 + 0.75 · 0.313262
        let expected = TensorData::from([[std::f32::consts::LN_2, 2.126928, 0.563262]]);
        loss.into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
        // σ(z) − p
        let expected = TensorData::from([[-0.5, 0.880797, 0.018941]]);
        logits
            .grad(&grads)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn huge_logits_are_finite() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data([[1e4, -1e4]], &device).require_grad();
        let target = Tensor::from_data([[0.0, 0.0]], &device);

        let loss = binary_cross_entropy(target, logits.clone());
        let grads = loss.clone().sum().backward();

        loss.into_data()
            .assert_approx_eq::<f32>(&TensorData::from([[1e4, 0.0]]), Tolerance::default());
        let gradient = logits.grad(&grads).unwrap().into_data();
        gradient.assert_approx_eq::<f32>(&TensorData::from([[1.0, 0.0]]), Tolerance::default());
    }
}
