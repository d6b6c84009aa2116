use burn::tensor::{Bool, Tensor};

/// Largest norm that is treated as zero.
const EPS: f64 = 1e-12;

/// Computes the L2 norm along an axis, with zero gradient at the zero vector.
///
/// The derivative of the plain root of a sum of squares is infinite at zero, and zero times
/// infinity is NaN.
///
/// # Shapes
///
/// - input: `[..]`
/// - output: the shape of the input, with length 1 at `dim`
pub fn l2_norm<const D: usize>(input: Tensor<D>, dim: usize) -> Tensor<D> {
    let (norm, zero) = safe_norm(input, dim);
    norm.mask_fill(zero, 0.0)
}

/// Divides by the L2 norm along an axis. A zero vector stays zero, with zero gradient.
///
/// ```text
/// x / max(‖x‖₂, 1e-12)
/// ```
///
/// It agrees with PyTorch's `F.normalize`, except for vectors with norms between 0 and 1e-12, which
/// become zero instead of passing gradients of up to 1e12.
///
/// # Shapes
///
/// - input, output: `[..]`
///
/// # Panics
///
/// Panics if there is no axis `dim`.
pub fn l2_normalize<const D: usize>(input: Tensor<D>, dim: usize) -> Tensor<D> {
    let (norm, zero) = safe_norm(input.clone(), dim);
    let zero = zero.expand(input.shape());
    input.div(norm).mask_fill(zero, 0.0)
}

/// Returns the norm with zeros replaced by ones, and the mask of these zeros.
fn safe_norm<const D: usize>(input: Tensor<D>, dim: usize) -> (Tensor<D>, Tensor<D, Bool>) {
    let square = sum_along(input.square(), dim);
    let zero = square.clone().lower_equal_scalar(EPS * EPS);
    // Masked before the root: a masked value gets no gradient, and the root is never taken at zero.
    let norm = square.mask_fill(zero.clone(), 1.0).sqrt();
    (norm, zero)
}

/// Computes the sum along an axis, without an operation for an axis of length 1.
///
/// On a GPU, burn 0.22.1 fuses a sum over one element with a neighboring operation to a kernel that
/// does not compile.
fn sum_along<const D: usize>(input: Tensor<D>, dim: usize) -> Tensor<D> {
    match input.dims()[dim] {
        1 => input,
        _ => input.sum_dim(dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    fn rows(device: &Device) -> Tensor<2> {
        Tensor::from_data([[3.0, 4.0], [0.0, 0.0]], device)
    }

    #[test]
    fn an_empty_batch_has_norms() {
        let input = Tensor::<2>::zeros([0, 3], &Device::default().autodiff()).require_grad();

        let sum = l2_normalize(input.clone(), 1)
            .sum()
            .add(l2_norm(input.clone(), 1).sum());
        let grads = sum.clone().backward();

        assert_eq!(sum.into_scalar::<f32>(), 0.0);
        assert_eq!(input.grad(&grads).unwrap().dims(), [0, 3]);
    }

    #[test]
    fn the_norm_of_one_element_is_its_absolute_value() {
        let input = Tensor::<2>::from_data([[-3.0], [0.0]], &Device::default());

        let norm = l2_norm(input.clone(), 1).into_data();
        norm.assert_eq(&[[3.0_f32], [0.0]].into(), true);
        let unit = l2_normalize(input, 1).into_data();
        unit.assert_eq(&[[-1.0_f32], [0.0]].into(), true);
    }

    #[test]
    fn the_norm_of_the_zero_vector_has_zero_gradient() {
        let input = rows(&Device::default().autodiff()).require_grad();

        let norm = l2_norm(input.clone(), 1);
        let grads = norm.clone().sum().backward();

        let tolerance = Tolerance::default();
        norm.into_data()
            .assert_approx_eq::<f32>(&TensorData::from([[5.0], [0.0]]), tolerance);
        input
            .grad(&grads)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from([[0.6, 0.8], [0.0, 0.0]]), tolerance);
    }

    #[test]
    fn normalizing_the_zero_vector_has_zero_gradient() {
        let input = rows(&Device::default().autodiff()).require_grad();

        let unit = l2_normalize(input.clone(), 1);
        let grads = unit.clone().slice([0..2, 0..1]).sum().backward();

        let tolerance = Tolerance::default();
        unit.into_data()
            .assert_approx_eq::<f32>(&TensorData::from([[0.6, 0.8], [0.0, 0.0]]), tolerance);
        // d(x/n)/dx = 1/n − x²/n³ = 0.128, d(x/n)/dy = −xy/n³ = −0.096
        let expected = TensorData::from([[0.128, -0.096], [0.0, 0.0]]);
        input
            .grad(&grads)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&expected, tolerance);
    }

    #[test]
    fn tiny_vectors_are_normalized_to_unit_length() {
        let input = Tensor::<2>::from_data([[3e-9, 4e-9]], &Device::default());

        l2_normalize(input, 1)
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from([[0.6, 0.8]]), Tolerance::default());
    }
}
