use burn::tensor::Tensor;
use burn_distill_core::numeric::at_least_f32;

/// Clipping and weight decay of the gradient of a parameter, before the update rule of an
/// optimizer.
///
/// The numbers are in double precision: burn's optimizers keep theirs in single precision, where
/// `1 − 0.999` has a relative error of `5e-5`.
#[derive(Clone, Debug)]
pub(super) struct Regularization {
    /// Maximum norm of a gradient, if gradients are clipped.
    pub clip_norm: Option<f64>,
    /// Factor of the weight decay.
    pub weight_decay: f64,
    /// Whether weight decay applies to one-dimensional parameters.
    pub decay_vectors: bool,
}

impl Regularization {
    /// Returns the gradient, scaled down to the maximum norm if it is longer.
    pub fn clip<const D: usize>(&self, gradient: Tensor<D>) -> Tensor<D> {
        // As in PyTorch, so that a gradient of zero is not divided by zero.
        const EPSILON: f64 = 1e-6;
        let Some(clip_norm) = self.clip_norm else {
            return gradient;
        };
        let dtype = gradient.dtype();
        let gradient = at_least_f32(gradient);
        let norm = gradient.clone().square().sum().sqrt();
        let factor = norm.add_scalar(EPSILON).recip().mul_scalar(clip_norm);
        gradient.mul(factor.clamp_max(1.0).unsqueeze()).cast(dtype)
    }

    /// Returns the factor of the weight decay of a parameter of rank `D`.
    pub fn decay<const D: usize>(&self) -> f64 {
        match D > 1 || self.decay_vectors {
            true => self.weight_decay,
            false => 0.0,
        }
    }

    /// Returns the clipped gradient plus the L2 penalty of its parameter.
    pub fn penalize<const D: usize>(&self, gradient: Tensor<D>, param: &Tensor<D>) -> Tensor<D> {
        let gradient = self.clip(gradient);
        match self.decay::<D>() {
            0.0 => gradient,
            decay => gradient.add(param.clone().mul_scalar(decay)),
        }
    }
}
