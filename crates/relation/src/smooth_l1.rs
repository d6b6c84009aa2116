use burn::tensor::Tensor;

/// Returns the unreduced Huber loss of a difference: half its square up to one, linear beyond.
pub(crate) fn smooth_l1<const D: usize>(difference: Tensor<D>) -> Tensor<D> {
    let size = difference.abs();
    let inner = size.clone().clamp_max(1.0);
    inner.clone().mul(size.sub(inner.mul_scalar(0.5)))
}

/// Returns the derivative of [`smooth_l1`].
pub(crate) fn smooth_l1_derivative<const D: usize>(difference: Tensor<D>) -> Tensor<D> {
    difference.clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn square_near_zero_and_linear_far_from_it() {
        let difference = Tensor::<1>::from_data(
            [-3.0, -1.0, -0.5, 0.0, 0.5, 2.0],
            &Device::default().autodiff(),
        )
        .require_grad();

        let loss = smooth_l1(difference.clone());
        let grads = loss.clone().sum().backward();

        let tolerance = Tolerance::<f32>::default();
        loss.into_data().assert_approx_eq(
            &TensorData::from([2.5, 0.5, 0.125, 0.0, 0.125, 1.5]),
            tolerance,
        );
        let gradient = difference.grad(&grads).unwrap();
        let expected = smooth_l1_derivative(difference.without_autodiff());
        gradient
            .into_data()
            .assert_approx_eq(&expected.into_data(), tolerance);
    }
}
