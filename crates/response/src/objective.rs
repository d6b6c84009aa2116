use crate::DistributionLoss;
use crate::term_of_loss::term_of_loss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::Tensor;
use burn_distill_core::{Context, LossTerm, NamedLoss, PairedRows, Weighted, reduce_rows};

/// Loss that compares the logits of student and teacher row by row.
pub trait LogitLoss: NamedLoss {
    /// Computes the loss of every row. No gradient flows to the teacher.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[rows, num_classes]`
    /// - output: `[rows]`
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1>;
}

/// Every loss between distributions is a loss of rows of logits.
impl<L: DistributionLoss> LogitLoss for L {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        self.forward_no_reduction(student, teacher)
    }
}

/// Term of a loss between the logits of student and teacher: see [`ResponseObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LogitTerm<L> {
    /// Loss of the rows.
    pub loss: L,
}

term_of_loss!(LogitTerm<LogitLoss>);

/// Weighted term of a loss between the responses of student and teacher, row by row.
///
/// ```text
/// L = mean of the loss over the rows that count
/// ```
///
/// A row is a sample of a classifier, a token of a sequence, a proposal of a detector. All samples
/// count, labeled or not, since the teacher needs no labels. Of a sequence, the tokens that are in
/// the masks of both student and teacher count; without any, the term is zero.
///
/// # Example
///
/// ```
/// use burn_distill_core::ChangingWeight;
/// use burn_distill_response::{ResponseObjective, SoftTargetLossConfig};
///
/// let warm_up = ChangingWeight::Linear { from: 0.0, to: 0.9, epochs: 20 };
/// let objective = ResponseObjective::new(SoftTargetLossConfig::new().init(), warm_up);
///
/// assert_eq!(objective.name, "soft-target");
/// ```
pub type ResponseObjective<L> = Weighted<LogitTerm<L>>;

impl<L: LogitLoss> LossTerm for LogitTerm<L> {
    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let rows = PairedRows::new(&context.student.response, &context.teacher.response);
        let loss = self.loss.forward_rows(rows.student, rows.teacher);
        reduce_rows(loss, rows.mask, &Reduction::Mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SoftTargetLoss, SoftTargetLossConfig};
    use burn::tensor::Device;
    use burn_distill_core::{Knowledge, Objective};

    fn soft_target() -> ResponseObjective<SoftTargetLoss> {
        ResponseObjective::new(SoftTargetLossConfig::new().init(), 0.9)
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 0 expected 4")]
    fn numbers_of_rows_must_match() {
        let device = Device::default();
        let student = Knowledge::from_logits(Tensor::zeros([4, 5], &device));
        let teacher = Knowledge::from_logits(Tensor::zeros([3, 5], &device));

        soft_target().forward(&Context::of(&student, &teacher));
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", soft_target()),
            "Weighted {loss: SoftTargetLoss {temperature: 4}, name: soft-target, \
             weight: Constant(0.9)}"
        );
    }
}
