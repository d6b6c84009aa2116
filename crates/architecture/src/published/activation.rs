use burn::tensor::Tensor;
use burn::tensor::activation::{hard_swish, relu, silu};

/// Activation after the normalization of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Relu,
    /// ReLU, at most 6.
    Relu6,
    HardSwish,
    Silu,
}

impl Activation {
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(input),
            Self::Relu6 => input.clamp(0.0, 6.0),
            Self::HardSwish => hard_swish(input),
            Self::Silu => silu(input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn values_and_derivatives_are_those_of_the_formulas() {
        let device = Device::default().autodiff();
        let input = [-4.0, -1.5, 0.5, 2.0, 7.0_f64];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let step = |x: f64| f64::from(u8::from(x > 0.0));
        let hard = |x: f64| (x / 6.0 + 0.5).clamp(0.0, 1.0);
        for (activation, value, derivative) in [
            (Activation::Relu, input.map(|x| x.max(0.0)), input.map(step)),
            (
                Activation::Relu6,
                input.map(|x| x.clamp(0.0, 6.0)),
                input.map(|x| step(x) * step(6.0 - x)),
            ),
            (
                Activation::HardSwish,
                input.map(|x| x * hard(x)),
                input.map(|x| hard(x) + x / 6.0 * step(x + 3.0) * step(3.0 - x)),
            ),
            (
                Activation::Silu,
                input.map(|x| x * sigmoid(x)),
                input.map(|x| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))),
            ),
        ] {
            let given = Tensor::<1>::from_data(input.map(|x| x as f32), &device).require_grad();
            let found = activation.forward(given.clone());
            let grads = found.clone().sum().backward();
            for (found, expected) in [
                (found.into_data(), value),
                (given.grad(&grads).unwrap().into_data(), derivative),
            ] {
                let expected = TensorData::from(expected.map(|x| x as f32));
                found.assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-5, 1e-6));
            }
        }
    }
}
