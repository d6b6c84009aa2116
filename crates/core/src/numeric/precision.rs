use burn::tensor::{DType, Tensor};

/// Converts a tensor to at least single precision: half precision is widened, other precisions
/// stay.
///
/// Products of probabilities and sums of squares exceed the range of half precision, so losses
/// compute on the result of this function.
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

/// Converts a tensor to the precision in which a loss of `like` computes: double for double
/// precision, single otherwise. Use it for a memory bank that is compared with the features of the
/// student.
///
/// # Shapes
///
/// - tensor, output: `[..]`
pub fn as_precise_as<const D: usize, const E: usize>(
    tensor: Tensor<D>,
    like: &Tensor<E>,
) -> Tensor<D> {
    tensor.cast(widest(like.dtype(), DType::F32))
}

/// Returns the more precise of two floating-point types, or single precision for two different
/// types of half precision.
pub fn widest(one: DType, other: DType) -> DType {
    match (one, other) {
        (DType::F64, _) | (_, DType::F64) => DType::F64,
        (one, other) if one == other => one,
        _ => DType::F32,
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
    fn the_widest_type_represents_both() {
        let (half, single, double) = (DType::F16, DType::F32, DType::F64);
        for (one, other, expected) in [
            (half, half, half),
            (half, DType::BF16, single),
            (half, single, single),
            (single, double, double),
            (double, half, double),
        ] {
            assert_eq!(widest(one, other), expected);
            assert_eq!(widest(other, one), expected);
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
