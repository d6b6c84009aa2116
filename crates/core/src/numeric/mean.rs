use burn::tensor::{Bool, Tensor};

/// Computes the mean over the elements where the mask is true, or over all elements without a mask.
///
/// If there is no such element, the result is a zero that is connected to the graph with a zero
/// gradient, so that a training step still works. Elements outside the mask may have any value, NaN
/// included.
///
/// # Shapes
///
/// - values, mask: `[..]`
/// - output: `[1]`
pub fn masked_mean<const D: usize>(values: Tensor<D>, mask: Option<Tensor<D, Bool>>) -> Tensor<1> {
    if values.shape().num_elements() == 0 {
        return connected_zero(values);
    }
    let (sum, count) = match mask {
        None => return values.mean(),
        Some(mask) => (
            values.clone().mask_fill(mask.clone().bool_not(), 0.0).sum(),
            mask.float().cast(values.dtype()).sum().clamp_min(1.0),
        ),
    };
    sum.div(count)
}

/// Returns a zero that is connected to the graph of `values`, with a zero gradient for any values.
///
/// # Shapes
///
/// - values: `[..]`
/// - output: `[1]`
pub fn connected_zero<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    if values.shape().num_elements() == 0 {
        // A GPU launches no kernel for an empty tensor, so its sum is undefined memory, even after
        // operations that are fused with it. A matrix product of one by one is always a separate
        // kernel.
        let one = Tensor::<2>::ones(
            [1, 1],
            (&values.device().without_autodiff(), values.dtype()),
        );
        let sum = values.sum().reshape([1, 1]).matmul(one).reshape([1]);
        let always = Tensor::full([1], true, &sum.device());
        return sum.mask_fill(always, 0.0);
    }
    // Multiplying by zero would turn infinities into NaN.
    let everywhere = values.zeros_like().equal_scalar(0.0);
    values.mask_fill(everywhere, 0.0).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn only_elements_in_the_mask_count() {
        let device = Device::default();
        let values = Tensor::<1>::from_data([1.0, f32::NAN, 3.0], &device);
        let mask = Tensor::from_data([true, false, true], &device);

        assert_eq!(masked_mean(values, Some(mask)).into_scalar::<f32>(), 2.0);
    }

    #[test]
    fn the_mean_of_no_elements_is_a_connected_zero() {
        let device = Device::default().autodiff();
        let values = Tensor::<1>::from_data([1.0, 2.0], &device).require_grad();
        let mask = Tensor::from_data([false, false], &device);

        let mean = masked_mean(values.clone(), Some(mask));
        let grads = mean.clone().backward();

        assert_eq!(mean.into_scalar::<f32>(), 0.0);
        let grad = values.grad(&grads).unwrap().into_data();
        grad.assert_eq(&[0.0_f32, 0.0].into(), true);
    }

    #[test]
    fn a_connected_zero_of_infinities_is_zero() {
        let device = Device::default().autodiff();
        let values = Tensor::<1>::from_data([f32::NEG_INFINITY, 2.0], &device).require_grad();

        let zero = connected_zero(values.clone());
        let grads = zero.clone().backward();

        assert_eq!(zero.into_scalar::<f32>(), 0.0);
        let grad = values.grad(&grads).unwrap().into_data();
        grad.assert_eq(&[0.0_f32, 0.0].into(), true);
    }

    #[test]
    fn without_a_mask_it_is_the_mean() {
        let values = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 6.0]], &Device::default());

        assert_eq!(masked_mean(values, None).into_scalar::<f32>(), 3.0);
    }
}
