use crate::LogitLoss;
use crate::entry::logits;
use crate::target::at_target;
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::tempered_log_softmax;
use burn_distill_core::{
    CatalogEntry, Check, Input, LossEntry, NamedLoss, one_line_display, reduce_rows,
};

/// Configuration to create a [hard-target loss](HardTargetLoss) using the [init
/// function](HardTargetLossConfig::init).
#[derive(Config, Debug)]
pub struct HardTargetLossConfig {}

impl HardTargetLossConfig {
    /// Creates a [hard-target loss](HardTargetLoss).
    pub fn init(&self) -> HardTargetLoss {
        HardTargetLoss {}
    }
}

impl Check for HardTargetLossConfig {}

/// Hard distillation: the cross-entropy of the student with the class that the teacher predicts.
///
/// For every row,
///
/// ```text
/// L = −log softmax(student)_a,    a = argmaxₖ teacherₖ
/// ```
///
/// It uses nothing else of the teacher: neither its certainty nor the similarities of the other
/// classes. It has no temperature, and needs no labels. Of several classes that the teacher finds
/// likeliest, the first counts. The teacher is a constant: no gradient flows to it. Half precision
/// is widened to single.
///
/// A student with two heads learns labels and predictions with a
/// [`DistillationTokenLoss`](crate::DistillationTokenLoss).
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::HardTargetLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.1, 0.2]], &device); // as good as any other certainty
///
/// let loss = HardTargetLossConfig::new().init();
/// let loss = loss.forward(student, teacher, Reduction::Mean);
/// assert!((loss.into_scalar::<f32>() - 0.693147).abs() < 1e-5); // ln 2
/// ```
///
/// # Reference
///
/// H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles and H. Jégou, [Training data-efficient
/// image transformers & distillation through attention](https://arxiv.org/abs/2012.12877), ICML
/// 2021, "hard-label distillation". Agrees with the distillation part of `DistillationLoss` of deit
/// with `distillation_type` `hard`.
#[doc(alias = "hard distillation")]
#[doc(alias = "pseudo-labels")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct HardTargetLoss {}

one_line_display!(HardTargetLoss:);

impl HardTargetLoss {
    /// Computes the loss of every row and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        reduction: Reduction,
    ) -> Tensor<1> {
        reduce_rows(self.forward_rows(student, teacher), None, &reduction)
    }
}

impl NamedLoss for HardTargetLoss {
    fn name(&self) -> &'static str {
        "hard-target"
    }
}

impl LogitLoss for HardTargetLoss {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);
        let log_predictions = tempered_log_softmax(student, 1.0);
        if rows == 0 {
            return log_predictions.sum_dim(1).squeeze_dim(1); // There is no likeliest class.
        }
        let predicted = teacher.without_autodiff().argmax(1).squeeze_dim(1);
        at_target(log_predictions, &predicted).squeeze_dim(1).neg()
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "hard-target",
        abbreviation: "",
        about: "learns the classes that the teacher predicts",
        kind: "response",
        aliases: &["hard-labels", "pseudo-labels"],
        reference: "Touvron et al., Training data-efficient image transformers & distillation \
            through attention, ICML 2021",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        logits(builder, HardTargetLossConfig::new(), |config| config.init())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 1 expected 5")]
    fn numbers_of_classes_must_match() {
        let device = Device::default();
        HardTargetLossConfig::new().init().forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 1], &device),
        );
    }

    #[test]
    fn display() {
        assert_eq!(
            HardTargetLossConfig::new().init().to_string(),
            "HardTargetLoss"
        );
    }
}
