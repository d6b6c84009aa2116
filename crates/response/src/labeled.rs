use crate::term_of_loss::term_of_loss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{connected_zero, zero_rows};
use burn_distill_core::{Context, LossTerm, NamedLoss, Response, Weighted, reduce_rows};

/// Loss that compares the logits of student and teacher row by row and treats the class of the
/// label differently from the others.
pub trait LabeledLoss: NamedLoss {
    /// Computes the loss of every row. No gradient flows to the teacher.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[rows, num_classes]`
    /// - classes: `[rows]`, each below `num_classes`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward_rows(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Tensor<1>;

    /// Computes the loss of every row and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - classes: `[batch_size]`, each below `num_classes`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
        reduction: Reduction,
    ) -> Tensor<1> {
        reduce_rows(
            self.forward_rows(student, teacher, classes),
            None,
            &reduction,
        )
    }
}

/// Term of a loss between the labeled logits of student and teacher: see [`LabeledObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LabeledTerm<L> {
    /// Loss of the rows.
    pub loss: L,
}

term_of_loss!(LabeledTerm<LabeledLoss>);

/// Weighted term of a loss between the responses of student and teacher that needs labels.
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
/// ```
/// use burn_distill_core::ChangingWeight;
/// use burn_distill_response::{DecoupledLossConfig, LabeledObjective};
///
/// let warm_up = ChangingWeight::Linear { from: 0.0, to: 1.0, epochs: 20 };
/// let objective = LabeledObjective::new(DecoupledLossConfig::new().init(), warm_up);
///
/// assert_eq!(objective.name, "decoupled");
/// ```
pub type LabeledObjective<L> = Weighted<LabeledTerm<L>>;

impl<L: LabeledLoss> LossTerm for LabeledTerm<L> {
    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let student = rows_of_samples(&context.student.response);
        let teacher = rows_of_samples(&context.teacher.response);
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);

        match context.targets.class_labels() {
            None => connected_zero(student),
            Some((classes, labeled)) => {
                let student = zero_rows(student, labeled.as_ref());
                let teacher = zero_rows(teacher, labeled.as_ref());
                let loss = self.loss.forward_rows(student, teacher, classes);
                reduce_rows(loss, labeled, &Reduction::Mean)
            }
        }
    }
}

/// Returns the logits of a response that has one row per label. Shape: `[rows, num_classes]`.
pub(crate) fn rows_of_samples(response: &Response) -> Tensor<2> {
    let rows = response.rows();
    assert!(
        rows.mask.is_none(),
        "The response consists of tokens, which have no class per sample: use a loss that needs no labels."
    );
    rows.logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecoupledLoss, DecoupledLossConfig};

    use burn::tensor::Device;
    use burn_distill_core::{ChangingWeight, Clock, Knowledge, Objective, Taps, Targets};

    fn objective() -> LabeledObjective<DecoupledLoss> {
        LabeledObjective::new(DecoupledLossConfig::new().init(), 0.5)
    }

    #[test]
    fn the_weight_follows_its_schedule() {
        let device = Device::default();
        let knowledge = Knowledge::from_logits(Tensor::zeros([4, 5], &device));
        let warm_up = ChangingWeight::Linear {
            from: 0.0,
            to: 1.0,
            epochs: 20,
        };
        let objective = LabeledObjective::new(DecoupledLossConfig::new().init(), warm_up);

        for (epoch, weight) in [(1, 0.05), (20, 1.0), (240, 1.0)] {
            let clock = Clock {
                epoch,
                batch: 0,
                batches: 1,
            };
            let targets = Targets::classes(Tensor::zeros([4], &device));
            let context = Context::of(&knowledge, &knowledge)
                .with_targets(&targets)
                .with_clock(clock);
            let terms = objective.forward(&context);

            let term = terms.iter().next().unwrap();
            assert_eq!((term.name.as_str(), term.weight), ("decoupled", weight));
        }
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

        objective().forward(&Context::of(&tokens, &tokens).with_targets(&targets));
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 1 expected 5")]
    fn numbers_of_classes_must_match() {
        let device = Device::default();
        let student = Knowledge::from_logits(Tensor::zeros([4, 5], &device));
        let teacher = Knowledge::from_logits(Tensor::zeros([4, 4], &device));
        let targets = Targets::classes(Tensor::zeros([4], &device));

        objective().forward(&Context::of(&student, &teacher).with_targets(&targets));
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", objective().with_name("dkd")),
            "Weighted {loss: DecoupledLoss {alpha: 1, beta: 8, temperature: 4}, \
             name: dkd, weight: Constant(0.5)}"
        );
    }
}
