use crate::{NamedLoss, Tap, TapLoss};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};

/// A loss of taps for tests: the mean squared difference of the features. It has no mask.
#[derive(Module, Debug)]
pub struct SquaredDifference {}

impl NamedLoss for SquaredDifference {
    fn name(&self) -> &'static str {
        "squared-difference"
    }
}

impl TapLoss for SquaredDifference {
    fn forward_taps(&self, student: Tap, teacher: Tap, _: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let teacher = teacher.without_autodiff().into_vectors();
        student.into_vectors().sub(teacher).square().mean()
    }
}
