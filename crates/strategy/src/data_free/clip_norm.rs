use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{at_least_f32, widest};

/// Scales the gradients of a module down to a maximum norm of all of them together, as in PyTorch's
/// `clip_grad_norm_`: `g ← g · min(1, max_norm / (‖all gradients‖₂ + 1e-6))`.
///
/// Gradients of other modules stay as they are. Nothing is read from the device.
pub(super) fn clip_global_norm<M: Module>(
    gradients: GradientsParams,
    module: &M,
    max_norm: f64,
) -> GradientsParams {
    // So that a gradient of zero is not divided by zero.
    const EPSILON: f64 = 1e-6;
    let mut squares = Squares {
        gradients: &gradients,
        sum: None,
    };
    module.visit(&mut squares);
    let Some(sum) = squares.sum else {
        return gradients;
    };
    let factor = sum.sqrt().add_scalar(EPSILON).recip().mul_scalar(max_norm);
    let mut scale = Scale {
        gradients,
        factor: factor.clamp_max(1.0),
    };
    module.visit(&mut scale);
    scale.gradients
}

/// A visitor that sums the squares of all gradients, in at least single precision.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return;
        };
        let square = at_least_f32(gradient).square().sum();
        self.sum = Some(match self.sum.take() {
            Some(sum) => {
                let dtype = widest(sum.dtype(), square.dtype());
                sum.cast(dtype).add(square.cast(dtype))
            }
            None => square,
        });
    }
}

/// A visitor that multiplies all gradients by a factor. Shape: `[1]`.
struct Scale {
    gradients: GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let dtype = gradient.dtype();
            let factor = self.factor.clone().unsqueeze();
            let scaled = gradient.cast(self.factor.dtype()).mul(factor).cast(dtype);
            self.gradients.register(param.id, scaled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tolerance};
    use burn_distill_core::initialize;

    /// Returns the gradients of a layer, which are 3 for each of four weights and 4 for each of two
    /// biases: a norm of √(4 · 9 + 2 · 16) = √68.
    fn gradients(layer: &Linear) -> GradientsParams {
        let device = Device::default();
        let mut gradients = GradientsParams::new();
        gradients.register(layer.weight.id, Tensor::<2>::full([2, 2], 3.0, &device));
        let bias = layer.bias.as_ref().unwrap();
        gradients.register(bias.id, Tensor::<1>::full([2], 4.0, &device));
        gradients
    }

    fn layer() -> Linear {
        initialize(LinearConfig::new(2, 2).init(&Device::default()))
    }

    #[test]
    fn all_gradients_are_scaled_by_the_norm_of_all_of_them() {
        let layer = layer();
        for (max_norm, factor) in [(1.0, 1.0 / 68.0_f32.sqrt()), (9.0, 1.0)] {
            let clipped = clip_global_norm(gradients(&layer), &layer, max_norm);

            let weight = clipped.get::<2>(layer.weight.id).unwrap().into_data();
            let expected = [[3.0 * factor; 2]; 2].into();
            weight.assert_approx_eq::<f32>(&expected, Tolerance::relative(1e-5));
            let bias = layer.bias.as_ref().unwrap().id;
            let bias = clipped.get::<1>(bias).unwrap().into_data();
            bias.assert_approx_eq::<f32>(&[4.0 * factor; 2].into(), Tolerance::relative(1e-5));
        }
    }

    #[test]
    fn gradients_of_zero_stay_zero_and_other_modules_are_left_out() {
        let (layer, other) = (layer(), layer());
        let mut gradients = gradients(&other);
        let zeros = Tensor::<2>::zeros([2, 2], &Device::default());
        gradients.register(layer.weight.id, zeros);

        let clipped = clip_global_norm(gradients, &layer, 1.0);

        let weight = clipped.get::<2>(layer.weight.id).unwrap().into_data();
        weight.assert_eq(&[[0.0_f32; 2]; 2].into(), true);
        let weight = clipped.get::<2>(other.weight.id).unwrap().into_data();
        weight.assert_eq(&[[3.0_f32; 2]; 2].into(), true);
    }
}
