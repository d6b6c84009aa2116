use crate::place_of_loss::place_of_loss;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::{Context, LossTerm, NamedLoss, PairedRows, Weighted};

/// A loss that compares the logits of whole batches: what it says about a row depends on the
/// others.
///
/// A loss that looks at one row at a time is a [`LogitLoss`](crate::LogitLoss) instead.
pub trait BatchLogitLoss: NamedLoss {
    /// The loss of the rows that count, as if there were no others. No gradient flows to the
    /// teacher.
    ///
    /// An implementation weighs the rows: to select them would need their number on the host.
    ///
    /// # Shapes
    ///
    /// - student, teacher: finite logits `[rows, num_classes]`, or −∞ for excluded classes
    /// - mask: `[rows]`, true for the rows that count
    /// - output: `[1]`, a connected zero if no row counts
    fn forward_masked(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1>;

    /// The loss of the batch. No gradient flows to the teacher.
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

/// The term of a loss between the logits of whole batches: see [`BatchObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BatchTerm<L> {
    /// The loss.
    pub loss: L,
}

place_of_loss!(BatchTerm<BatchLogitLoss>);

/// A loss between the responses of whole batches, as one weighted term.
///
/// The counterpart of a [`ResponseObjective`](crate::ResponseObjective) for losses that are not of
/// single rows. The rows are the samples of a classifier, the tokens of sequences, the proposals of a
/// detector. All samples count, labeled or not. Of sequences, the tokens that student and teacher both
/// count make up the batch; without any, the term is zero.
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
        let rows = PairedRows::of(&context.student.response, &context.teacher.response);
        self.loss
            .forward_masked(rows.student, rows.teacher, rows.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{student, teacher};
    use crate::{ConfidenceMask, DistLoss, DistLossConfig, MultiLevelLossConfig};
    use burn::tensor::{Device, TensorData, Tolerance};
    use burn_distill_core::{Clock, Knowledge, Objective, Response, Taps, Targets};

    fn knowledge(response: impl Into<Response>) -> Knowledge {
        Knowledge {
            response: response.into(),
            taps: Taps::default(),
        }
    }

    /// Two sequences of two tokens.
    fn tokens(rows: Tensor<2>, mask: [[bool; 2]; 2]) -> Knowledge {
        let mask = Tensor::from_data(mask, &rows.device());
        knowledge(Response::Tokens {
            logits: rows.reshape([2, 2, 5]),
            mask,
        })
    }

    fn dist() -> BatchObjective<DistLoss> {
        BatchObjective::new(DistLossConfig::new().init(), 2.0)
    }

    fn term(objective: &impl Objective, student: &Knowledge, teacher: &Knowledge) -> Tensor<1> {
        let context = Context::new(student, teacher, &Targets::Unlabeled, &[], Clock::start());
        let mut terms = objective.forward(&context).into_iter();
        terms.next().unwrap().value
    }

    /// The single term of these tokens, and the gradient of the student.
    fn term_and_gradient<L: BatchLogitLoss>(
        objective: &BatchObjective<L>,
        mask: [[bool; 2]; 2],
        padding: f32,
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let rows = student(&device).require_grad();
        let row = Tensor::full([1, 5], padding, &device);
        let teacher = teacher(&device).slice_assign([1..2, 0..5], row);

        let student = tokens(rows.clone(), mask);
        let value = term(objective, &student, &tokens(teacher, [[true; 2]; 2]));
        let grads = value.clone().backward();

        let gradient = rows.grad(&grads).unwrap().into_data();
        (value.into_scalar::<f64>(), gradient)
    }

    /// All but the second row.
    fn without_padding(logits: Tensor<2>) -> Tensor<2> {
        Tensor::cat(
            vec![
                logits.clone().slice([0..1, 0..5]),
                logits.slice([2..4, 0..5]),
            ],
            0,
        )
    }

    fn check_padding<L: BatchLogitLoss>(loss: L) {
        let device = Device::default().autodiff();
        let rows = student(&device).require_grad();
        let expected = loss.forward(
            without_padding(rows.clone()),
            without_padding(teacher(&device)),
        );
        let grads = expected.clone().backward();
        let expected = expected.into_scalar::<f64>();
        let expected_gradient = rows.grad(&grads).unwrap().into_data();

        // Logits at odds where nothing counts.
        let mask = Tensor::from_data([true, false, true, true], &device);
        let masked = loss.forward_masked(student(&device), teacher(&device), Some(mask));
        let error = (masked.into_scalar::<f64>() - expected).abs();
        assert!(error < 1e-5 * expected, "{error}");

        let objective = BatchObjective::new(loss, 1.0);
        for padding in [0.0, 50.0, f32::NAN, f32::NEG_INFINITY] {
            let mask = [[true, false], [true, true]];
            let (value, gradient) = term_and_gradient(&objective, mask, padding);

            let error = (value - expected).abs();
            assert!(error < 1e-5 * expected, "{value} is not {expected}");
            gradient.assert_approx_eq::<f32>(&expected_gradient, Tolerance::absolute(1e-5));
        }

        let (value, gradient) = term_and_gradient(&objective, [[false; 2]; 2], 0.0);
        assert_eq!(value, 0.0);
        gradient.assert_eq(&TensorData::from([[0.0_f32; 5]; 4]), false);
    }

    #[test]
    fn tokens_that_do_not_count_are_as_if_they_were_not_there() {
        check_padding(DistLossConfig::new().init());
        for confidence in [
            ConfidenceMask::None,
            ConfidenceMask::Select,
            ConfidenceMask::ReferenceCompat,
        ] {
            let config = MultiLevelLossConfig::new().with_confidence(confidence);
            check_padding(config.init());
        }
    }

    #[test]
    fn all_samples_count() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());

        let terms = dist().forward(&context);

        let term = terms.iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("dist", 2.0));
        let total = terms.total().into_scalar::<f64>();
        assert!((total - 2.0 * 33.0105964).abs() < 1e-3, "{total}");
    }

    #[test]
    fn a_term_may_have_a_name_of_its_own() {
        assert_eq!(dist().with_name("relations").name, "relations");
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 0 expected 4")]
    fn numbers_of_rows_must_match() {
        let device = Device::default();
        let student = tokens(student(&device), [[true; 2]; 2]);

        term(
            &dist(),
            &student,
            &knowledge(Tensor::zeros([3, 5], &device)),
        );
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
