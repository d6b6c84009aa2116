use burn::tensor::{DType, Tensor};

/// The tensor in at least single precision: half precision is widened, the rest stays as it is.
///
/// Products of probabilities and sums of squares leave the range of half precision, so losses
/// compute on the result of this.
///
/// # Shapes
///
/// - tensor, output: `[..]`
pub fn at_least_f32<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(DType::F32),
        _ => tensor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn half_precision_is_widened_and_passes_gradients() {
        let device = Device::default();
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            let half =
                Tensor::<1>::from_data([300.0], (&device.clone().autodiff(), dtype)).require_grad();

            let square = at_least_f32(half.clone()).square();
            let grads = square.clone().sum().backward();

            assert_eq!(square.dtype(), DType::F32);
            assert!((square.into_scalar::<f32>() - 90_000.0).abs() < 500.0);
            assert!(half.grad(&grads).is_some());
        }
    }

    #[test]
    fn single_and_double_precision_stay() {
        let device = Device::default();
        let single = Tensor::<1>::zeros([1], (&device, DType::F32));
        assert_eq!(at_least_f32(single).dtype(), DType::F32);

        if device.supports_dtype(DType::F64) {
            let double = Tensor::<1>::zeros([1], (&device, DType::F64));
            assert_eq!(at_least_f32(double).dtype(), DType::F64);
        }
    }
}
