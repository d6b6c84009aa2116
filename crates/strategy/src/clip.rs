use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{Clock, Terms, WeightSchedule};

/// Terms of a loss whose gradient is clipped to a share of the gradient of the other terms.
///
/// For each parameter,
///
/// ```text
/// g = gradient of the other terms
/// d = gradient of these terms
/// gradient = g + d · min(1, share(epoch) · ‖g‖₂ / ‖d‖₂)
/// ```
///
/// The weight decay of an optimizer is not part of the gradients. The gradient of a parameter on
/// which only these terms depend, such as a weight of an adapter, is not clipped, since its bound
/// would be zero.
///
/// [`OfflineDistiller::with_clipped`](crate::OfflineDistiller::with_clipped) trains with it.
///
/// # Reference
///
/// The training of [singular vectors](https://arxiv.org/abs/1807.06819) (S. H. Lee, D. H. Kim and
/// B. C. Song, ECCV 2018) and [multi-head graphs](https://arxiv.org/abs/1907.02226) (S. Lee and B.
/// C. Song, BMVC 2019) in the authors' KD_methods_with_TF, where `g` is the gradient of the
/// cross-entropy and no parameter belongs to the distillation only. Their older SSKD_SVD has a
/// share of 1 and the sigmoid, centered at epoch 2, as the weight of the term.
#[derive(Clone, Debug, PartialEq)]
pub struct ClippedTerms {
    /// Names of the terms.
    pub names: Vec<String>,
    /// Maximum norm of their gradient, relative to that of the other terms. Below 0 it counts as 0.
    pub share: WeightSchedule,
}

impl ClippedTerms {
    /// Creates a selection of terms from their names and the share to which their gradient is
    /// clipped.
    ///
    /// # Panics
    ///
    /// Panics if there is no name, or if the share is a constant that is negative or not finite.
    pub fn new(
        names: impl IntoIterator<Item = impl Into<String>>,
        share: impl Into<WeightSchedule>,
    ) -> Self {
        let names: Vec<_> = names.into_iter().map(Into::into).collect();
        assert!(
            !names.is_empty(),
            "Clipping needs the name of at least one term."
        );
        let share = share.into();
        if let WeightSchedule::Constant(share) = share {
            assert!(
                share >= 0.0 && share.is_finite(), // This also rejects NaN
                "The share that gradients are clipped to must be finite and not negative, got \
                 {share}."
            );
        }
        Self { names, share }
    }

    /// Returns the selected terms of a loss.
    ///
    /// # Panics
    ///
    /// Panics if the loss lacks one of them.
    pub fn of(&self, terms: Terms) -> Terms {
        for name in &self.names {
            let known: Vec<_> = terms.iter().map(|term| term.name.as_str()).collect();
            assert!(
                known.contains(&name.as_str()),
                "The loss has no term `{name}` to clip: its terms are {}.",
                known.join(", ")
            );
        }
        terms.only(|name| self.has(name))
    }

    /// Returns whether the term with this name is selected.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }
}

/// Returns the terms that are not clipped.
///
/// # Panics
///
/// Panics if all terms are clipped: there would be no gradient to compare with.
pub(crate) fn others(terms: Terms, clipped: &[ClippedTerms]) -> Terms {
    let others = terms.only(|name| !clipped.iter().any(|clipped| clipped.has(name)));
    assert!(
        !others.is_empty(),
        "A loss needs at least one term that is not clipped: clip fewer terms, or add one."
    );
    others
}

/// Returns the gradients of `module` for all terms: those of the unclipped terms plus the clipped
/// gradients of the remaining terms.
pub(crate) fn add_clipped<M: Module>(
    others: GradientsParams,
    clipped: &[(&ClippedTerms, GradientsParams)],
    clock: &Clock,
    module: &M,
) -> GradientsParams {
    let shares = clipped
        .iter()
        .map(|(terms, _)| terms.share.at(clock).max(0.0));
    let mut sum = Sum {
        others: &others,
        clipped: shares
            .zip(clipped.iter().map(|(_, gradients)| gradients))
            .collect(),
        sum: GradientsParams::new(),
    };
    module.visit(&mut sum);
    sum.sum
}

struct Sum<'a> {
    others: &'a GradientsParams,
    clipped: Vec<(f64, &'a GradientsParams)>,
    sum: GradientsParams,
}

impl ModuleVisitor for Sum<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let others = self.others.get::<D>(param.id);
        let clipped = self.clipped.iter().filter_map(|(share, gradients)| {
            let gradient = gradients.get::<D>(param.id)?;
            Some(match &others {
                Some(others) => clip(gradient, norm(others.clone()).mul_scalar(*share)),
                None => gradient,
            })
        });
        if let Some(sum) = others
            .clone()
            .into_iter()
            .chain(clipped)
            .reduce(Tensor::add)
        {
            self.sum.register(param.id, sum);
        }
    }
}

/// Returns the L2 norm of all elements of a tensor, in at least single precision. Shape: `[1]`.
fn norm<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    at_least_f32(tensor).square().sum().sqrt()
}

/// Returns the gradient, scaled down to the bound if its norm is larger.
fn clip<const D: usize>(gradient: Tensor<D>, bound: Tensor<1>) -> Tensor<D> {
    // A gradient of zero must stay zero, also with a bound of zero.
    const LEAST: f64 = 1e-30;
    let length = norm(gradient.clone()).clamp_min(LEAST);
    let factor = bound.div(length).clamp_max(1.0);
    let dtype = gradient.dtype();
    let factor = factor.reshape([1; D]);
    at_least_f32(gradient).mul(factor).cast(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, TensorData, Tolerance};

    fn assert_clipped(gradient: [f32; 2], bound: f32, expected: [f32; 2], dtype: DType) {
        let device = Device::default();
        let gradient = Tensor::<1>::from_data(gradient, (&device, dtype));
        let bound = Tensor::from_data([bound], (&device, DType::F32));

        let clipped = clip(gradient, bound);

        assert_eq!(clipped.dtype(), dtype);
        clipped
            .cast(DType::F32)
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-2));
    }

    #[test]
    fn only_gradients_longer_than_the_bound_are_scaled_down() {
        assert_clipped([3.0, 4.0], 1.0, [0.6, 0.8], DType::F32);
        assert_clipped([3.0, 4.0], 6.0, [3.0, 4.0], DType::F32);
        assert_clipped([3.0, 4.0], 0.0, [0.0, 0.0], DType::F32);
        assert_clipped([0.0, 0.0], 0.0, [0.0, 0.0], DType::F32);
        assert_clipped([0.0, 0.0], 1.0, [0.0, 0.0], DType::F32);
    }

    #[test]
    fn squares_may_exceed_the_range_of_half_precision() {
        if Device::default().supports_dtype(DType::F16) {
            assert_clipped([300.0, 400.0], 5.0, [3.0, 4.0], DType::F16);
        }
    }
}
