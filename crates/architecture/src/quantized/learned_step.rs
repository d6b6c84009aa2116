use burn::tensor::Tensor;

/// Smallest step, which keeps the quotient of weight and step finite. The gradient passes to a
/// learned step below it, so that it can grow again.
const SMALLEST: f64 = 1e-8;

/// Grid of whole multiples of a learned step.
///
/// ```text
/// n = 2^(bits − 1),   p = 2^(bits − 1) − 1
/// Q(w) = step · round(clip(w / step, −n, p))
///
/// ∂Q/∂w = 1 if −n < w / step < p, otherwise 0
/// ∂Q/∂step = round(w / step) − w / step   if −n < w / step < p
///            −n or p                      where w / step is clipped
/// ```
///
/// The gradient of the step is multiplied by `1 / √(weights · p)`, so that the step changes about
/// as fast as the weights, relative to their size. Halves are rounded to the even number.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::LearnedStepGrid;
///
/// let device = Device::default().autodiff();
/// let weights = Tensor::<1>::from_data([-0.9, 0.2, 0.3, 2.0], &device).require_grad();
/// let step = Tensor::<1>::from_data([0.5], &device).require_grad();
///
/// // Multiples from −2 to 1.
/// let quantized = LearnedStepGrid::new(2).quantize(weights.clone(), step.clone());
/// let expected = [-1.0, 0.0, 0.5, 0.5_f32];
/// quantized.clone().into_data().assert_eq(&expected.into(), false);
///
/// let grads = quantized.sum().backward();
/// let passed = [1.0, 1.0, 1.0, 0.0_f32];
/// weights.grad(&grads).unwrap().into_data().assert_eq(&passed.into(), false);
/// ```
///
/// # Reference
///
/// S. K. Esser, J. L. McKinstry, D. Bablani, R. Appuswamy and D. S. Modha, [Learned Step Size
/// Quantization](https://arxiv.org/abs/1902.08153), ICLR 2020.
#[doc(alias = "LSQ")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedStepGrid {
    bits: usize,
}

impl LearnedStepGrid {
    /// Creates a grid of `2^bits` multiples.
    ///
    /// # Panics
    ///
    /// Panics if the bits are not from 2 to 16: with one bit, no multiple would be above 0.
    pub fn new(bits: usize) -> Self {
        assert!(
            (2..=16).contains(&bits),
            "The number of bits of a learned step should be from 2 to 16, but is {bits}."
        );
        Self { bits }
    }

    /// Returns the number of negative and of positive multiples.
    pub fn multiples(&self) -> [f64; 2] {
        let negative = (1_u32 << (self.bits - 1)) as f64;
        [negative, negative - 1.0]
    }

    /// Returns the initial step for these weights, `2 · mean |w| / √p`. Shape: `[1]`.
    pub fn initial_step<const D: usize>(&self, weights: Tensor<D>) -> Tensor<1> {
        let [_, positive] = self.multiples();
        let step = weights.without_autodiff().abs().mean();
        step.mul_scalar(2.0 / positive.sqrt()).clamp_min(SMALLEST)
    }

    /// Rounds every weight to a multiple of the step.
    ///
    /// # Shapes
    ///
    /// - weights, output: `[..]`
    /// - step: `[1]`
    pub fn quantize<const D: usize>(&self, weights: Tensor<D>, step: Tensor<1>) -> Tensor<D> {
        let [negative, positive] = self.multiples();
        let count = weights.shape().num_elements();
        let scale = 1.0 / (count as f64 * positive).sqrt();
        let size = |step: Tensor<1>| step.clamp_min(SMALLEST).reshape([1; D]);
        let constant = step.clone().without_autodiff();
        let fixed = weights.clone().without_autodiff();

        let multiple = fixed.clone().div(size(constant.clone()));
        let outside = multiple
            .clone()
            .lower_equal_elem(-negative)
            .bool_or(multiple.clone().greater_equal_elem(positive));
        let rounded = multiple.clone().clamp(-negative, positive).round();
        let value = rounded.clone().mul(size(constant.clone()));
        let by_step = rounded
            .clone()
            .sub(multiple)
            .mask_where(outside.clone(), rounded);

        // Both differences are zero, so that the value is on the grid exactly; they carry the
        // gradients.
        let of_weights = weights.sub(fixed).mask_fill(outside, 0.0);
        let of_step = step.sub(constant).mul_scalar(scale).reshape([1; D]);
        value.add(of_weights).add(by_step.mul(of_step))
    }
}
