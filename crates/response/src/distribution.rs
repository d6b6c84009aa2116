use crate::TeacherLogits;
use burn::nn::loss::Reduction;
use burn::tensor::Tensor;
use burn_distill_core::{NamedLoss, reduce_rows};

/// A loss between the distribution of the teacher and that of the student, row by row.
///
/// ```text
/// p = teacher's probabilities at the temperature, constant
/// q = student's probabilities at the temperature
/// L = scale · divergence(p, q)
/// ```
///
/// An implementation writes one formula, [`divergence`](Self::divergence). It then serves a teacher
/// that says everything and one that says only [the most of it](crate::SparseLogits).
pub trait DistributionLoss: NamedLoss {
    /// What both logits are divided by.
    fn temperature(&self) -> f64;

    /// What the divergence is multiplied by, such as `temperature²`.
    fn scale(&self) -> f64;

    /// The divergence of every row, without the scale.
    ///
    /// Gradients flow to `log_q`. Probabilities of zero, logarithms of −∞, contribute their limit.
    ///
    /// # Shapes
    ///
    /// - log_p, log_q: `[rows, events]`, each the logarithm of a distribution
    /// - output: `[rows]`
    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1>;

    /// Compute the loss of every row, then reduce to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student: logits `[batch_size, num_classes]`
    /// - teacher: logits of the same shape, or a sparse signal
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward(
        &self,
        student: Tensor<2>,
        teacher: impl Into<TeacherLogits>,
        reduction: Reduction,
    ) -> Tensor<1> {
        reduce_rows(
            self.forward_no_reduction(student, teacher),
            None,
            &reduction,
        )
    }

    /// Compute the loss of every row, without reducing.
    ///
    /// # Shapes
    ///
    /// - student: logits `[batch_size, num_classes]`
    /// - teacher: logits of the same shape, or a sparse signal
    /// - output: `[batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward_no_reduction(
        &self,
        student: Tensor<2>,
        teacher: impl Into<TeacherLogits>,
    ) -> Tensor<1> {
        let events = teacher.into().events(student, self.temperature());
        self.divergence(events.log_p, events.log_q)
            .mul_scalar(self.scale())
    }
}
