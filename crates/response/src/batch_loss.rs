use crate::term_of_loss::term_of_loss;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::{Context, LossTerm, NamedLoss, PairedRows, Weighted};

/// Loss that compares the logits of whole batches: its value is not a sum over rows.
///
/// A loss that compares one row at a time is a [`LogitLoss`](crate::LogitLoss) instead.
pub trait BatchLogitLoss: NamedLoss {
    /// Computes the loss of the rows that count, as if there were no others. No gradient flows to
    /// the teacher.
    ///
    /// An implementation gives rows a weight of zero instead of selecting rows, which would need
    /// their number on the host.
    ///
    /// # Shapes
    ///
    /// - student, teacher: finite logits `[rows, num_classes]`, or −∞ for excluded classes
    /// - mask: `[rows]`, true for the rows that count
    /// - output: `[1]`, zero and still connected to the autodiff graph if no row counts
    fn forward_masked(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1>;

    /// Computes the loss of the batch. No gradient flows to the teacher.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        self.forward_masked(student, teacher, None)
    }
}

/// Term of a loss between the logits of whole batches: see [`BatchObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BatchTerm<L> {
    /// Loss of the batch.
    pub loss: L,
}

term_of_loss!(BatchTerm<BatchLogitLoss>);

/// Weighted term of a loss between the responses of whole batches.
///
/// It is the counterpart of a [`ResponseObjective`](crate::ResponseObjective) for losses that are
/// not sums over rows. The rows are the samples of a classifier, the tokens of sequences, the
/// proposals of a detector. All samples count, labeled or not. For sequences, the batch consists of
/// the tokens that are in the masks of both student and teacher; if there are none, the term is
/// zero.
///
/// # Example
///
/// ```
/// use burn_distill_response::{BatchObjective, DistLossConfig};
///
/// let objective = BatchObjective::new(DistLossConfig::new().init(), 2.0);
///
/// assert_eq!(objective.name, "dist");
/// ```
pub type BatchObjective<L> = Weighted<BatchTerm<L>>;

impl<L: BatchLogitLoss> LossTerm for BatchTerm<L> {
    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let rows = PairedRows::new(&context.student.response, &context.teacher.response);
        self.loss
            .forward_masked(rows.student, rows.teacher, rows.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DistLoss, DistLossConfig};
    use burn::tensor::Device;
    use burn_distill_core::{Knowledge, Objective};

    fn dist() -> BatchObjective<DistLoss> {
        BatchObjective::new(DistLossConfig::new().init(), 2.0)
    }

    #[test]
    fn the_name_of_a_term_can_be_changed() {
        assert_eq!(dist().with_name("relations").name, "relations");
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 0 expected 4")]
    fn numbers_of_rows_must_match() {
        let device = Device::default();
        let student = Knowledge::from_logits(Tensor::zeros([4, 5], &device));
        let teacher = Knowledge::from_logits(Tensor::zeros([3, 5], &device));

        dist().forward(&Context::of(&student, &teacher));
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", dist()),
            "Weighted {loss: DistLoss {temperature: 4, beta: 1, gamma: 1, scale_t2: true}, \
             name: dist, weight: Constant(2.0)}"
        );
    }
}
