use crate::labeled::rows_of_samples;
use crate::term_of_loss::term_of_loss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor};
use burn_distill_core::numeric::{connected_zero, zero_rows};
use burn_distill_core::{Context, Knowledge, LossTerm, NamedLoss, Weighted, reduce_rows};

/// Loss that compares the logits of a student with a distribution that is made from the label,
/// without a teacher.
pub trait TeacherFreeLoss: NamedLoss {
    /// Computes the loss of every row.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    /// - classes: `[rows]`, each below `num_classes`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward_rows(&self, student: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1>;

    /// Computes the loss of every row and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student: logits `[batch_size, num_classes]`
    /// - classes: `[batch_size]`, each below `num_classes`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward(
        &self,
        student: Tensor<2>,
        classes: Tensor<1, Int>,
        reduction: Reduction,
    ) -> Tensor<1> {
        reduce_rows(self.forward_rows(student, classes), None, &reduction)
    }
}

/// Term of a loss between the logits of a student and its labels: see [`TeacherFreeObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct TeacherFreeTerm<L> {
    /// Loss of the rows.
    pub loss: L,
}

term_of_loss!(TeacherFreeTerm<TeacherFreeLoss>);

/// Weighted term of a loss between the response of a student and its labels. It ignores the
/// teacher, if there is one.
///
/// ```text
/// L = mean of the loss over the labeled samples
/// ```
///
/// Samples without a label do not count, whatever their logits are; if no sample is labeled, the
/// term is zero. With [target probabilities](burn_distill_core::Targets), as from mixed samples,
/// the likeliest class is the label.
///
/// # Panics
///
/// `forward` panics if the response consists of tokens or heat maps, which have no class per
/// sample.
///
/// # Example
///
/// The objective of teacher-free distillation for ResNet-18 on CIFAR-100:
///
/// ```
/// use burn_distill_core::{CrossEntropyObjective, Knowledge, Objective};
/// use burn_distill_response::{TeacherFreeObjective, VirtualTeacherLossConfig};
///
/// let objective = (
///     CrossEntropyObjective::new(0.9),
///     TeacherFreeObjective::new(VirtualTeacherLossConfig::new().init(), 0.1),
/// );
///
/// fn needs_no_teacher(objective: impl Objective<Knowledge, ()>) {}
/// needs_no_teacher(objective);
/// ```
pub type TeacherFreeObjective<L> = Weighted<TeacherFreeTerm<L>>;

impl<L: TeacherFreeLoss, T> LossTerm<Knowledge, T> for TeacherFreeTerm<L> {
    fn value(&self, context: &Context<'_, Knowledge, T>) -> Tensor<1> {
        let student = rows_of_samples(&context.student.response);
        match context.targets.class_labels() {
            None => connected_zero(student),
            Some((classes, labeled)) => {
                let student = zero_rows(student, labeled.as_ref());
                let loss = self.loss.forward_rows(student, classes);
                reduce_rows(loss, labeled, &Reduction::Mean)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{VirtualTeacherLoss, VirtualTeacherLossConfig};
    use burn::tensor::Device;
    use burn_distill_core::{Objective, Response, Taps, Targets};

    fn objective() -> TeacherFreeObjective<VirtualTeacherLoss> {
        TeacherFreeObjective::new(VirtualTeacherLossConfig::new().init(), 0.1)
    }

    #[test]
    #[should_panic(expected = "The response consists of tokens, which have no class per sample")]
    fn tokens_are_refused() {
        let device = Device::default();
        let tokens = Knowledge {
            response: Response::Tokens {
                logits: Tensor::zeros([2, 2, 5], &device),
                mask: Tensor::from_data([[true; 2]; 2], &device),
            },
            taps: Taps::default(),
        };
        let targets = Targets::classes(Tensor::zeros([4], &device));

        objective().forward(&Context::of(&tokens, &()).with_targets(&targets));
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", objective().with_name("virtual")),
            "Weighted {loss: VirtualTeacherLoss {correct: 0.99, temperature: 20, \
             multiplier: 1, soften_student: false}, name: virtual, weight: Constant(0.1)}"
        );
    }
}
