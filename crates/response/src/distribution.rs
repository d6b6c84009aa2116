use crate::TeacherLogits;
use burn::nn::loss::Reduction;
use burn::tensor::Tensor;
use burn_distill_core::{NamedLoss, reduce_rows};

/// Loss between the class distributions of teacher and student, row by row.
///
/// ```text
/// p = teacher's probabilities at the temperature, constant
/// q = student's probabilities at the temperature
/// L = scale · divergence(p, q)
/// ```
///
/// An implementation defines one formula, [`divergence`](Self::divergence). The loss then accepts a
/// teacher's logits of all classes and [sparse logits](crate::SparseLogits).
pub trait DistributionLoss: NamedLoss {
    /// Returns the softmax temperature, which divides the logits of student and teacher.
    fn temperature(&self) -> f64;

    /// Returns the factor of the divergence, such as `temperature²`.
    fn scale(&self) -> f64;

    /// Computes the divergence of every row, without the scale.
    ///
    /// Gradients flow to `log_q`. Probabilities of zero, logarithms of −∞, contribute their limit.
    ///
    /// # Shapes
    ///
    /// - log_p, log_q: `[rows, events]`, each the logarithm of a distribution
    /// - output: `[rows]`
    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1>;

    /// Computes the loss of every row and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student: logits `[batch_size, num_classes]`
    /// - teacher: logits of the same shape, or sparse logits of the same rows
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

    /// Computes the loss of every row, without reducing.
    ///
    /// # Shapes
    ///
    /// - student: logits `[batch_size, num_classes]`
    /// - teacher: logits of the same shape, or sparse logits of the same rows
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
        let pair = teacher.into().paired_log_probs(student, self.temperature());
        self.divergence(pair.log_p, pair.log_q)
            .mul_scalar(self.scale())
    }
}
