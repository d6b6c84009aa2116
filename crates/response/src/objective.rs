use crate::DistributionLoss;
use crate::place_of_loss::place_of_loss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::Tensor;
use burn_distill_core::{Context, LossTerm, NamedLoss, PairedRows, Weighted, reduce_rows};

/// A loss that compares the logits of a student with those of a teacher, row by row.
pub trait LogitLoss: NamedLoss {
    /// The loss of every row. No gradient flows to the teacher.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[rows, num_classes]`
    /// - output: `[rows]`
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1>;
}

/// Every loss between distributions is one.
impl<L: DistributionLoss> LogitLoss for L {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        self.forward_no_reduction(student, teacher)
    }
}

/// The term of a loss between the logits of student and teacher: see [`ResponseObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LogitTerm<L> {
    /// The loss.
    pub loss: L,
}

place_of_loss!(LogitTerm<LogitLoss>);

/// The soft half of a distillation: a loss between the responses of student and teacher, as one
/// weighted term.
///
/// ```text
/// L = mean of the loss over the rows that count
/// ```
///
/// A row is a sample of a classifier, a token of a sequence, a proposal of a detector. All samples
/// count, labeled or not: the teacher needs no labels. Of a sequence, the tokens that student and
/// teacher both count do; without any, the term is zero.
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
        let rows = PairedRows::of(&context.student.response, &context.teacher.response);
        let loss = self.loss.forward_rows(rows.student, rows.teacher);
        reduce_rows(loss, rows.mask, &Reduction::Mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{student, teacher};
    use crate::{LogitMatchingLossConfig, SoftTargetLoss, SoftTargetLossConfig};
    use burn::tensor::{Device, TensorData, Tolerance};
    use burn_distill_core::{
        ChangingWeight, Clock, CrossEntropyObjective, Knowledge, Objective, Response, Taps,
        Targets, Terms,
    };

    type FT = f32;

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

    fn soft_target() -> ResponseObjective<SoftTargetLoss> {
        ResponseObjective::new(SoftTargetLossConfig::new().init(), 0.9)
    }

    fn terms(objective: &impl Objective, student: &Knowledge, teacher: &Knowledge) -> Terms {
        let context = Context::new(student, teacher, &Targets::Unlabeled, &[], Clock::start());
        objective.forward(&context)
    }

    /// The single term of these tokens, and the gradient of the student.
    fn term_and_gradient(
        mask: [[bool; 2]; 2],
        teacher: impl Fn(&Device) -> Tensor<2>,
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let rows = student(&device).require_grad();

        let student = tokens(rows.clone(), mask);
        let teacher = tokens(teacher(&device), [[true; 2]; 2]);
        let terms = terms(&soft_target(), &student, &teacher);
        let value = terms.into_iter().next().unwrap().value;
        let grads = value.clone().backward();

        let gradient = rows.grad(&grads).unwrap().into_data();
        (value.into_scalar::<f64>(), gradient)
    }

    // Expected values: the rows in the tests of the losses.

    #[test]
    fn unlabeled_samples_count() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));

        let terms = terms(&soft_target(), &student, &teacher);

        let term = terms.iter().next().unwrap();
        assert_eq!(term.name, "soft-target");
        assert_eq!(term.weight, 0.9);
        let value = term.value.clone().into_scalar::<f64>();
        assert!((value - 3.432760).abs() < 1e-5, "{value}");
    }

    #[test]
    fn only_tokens_of_the_mask_count() {
        let (value, gradient) = term_and_gradient([[true, false], [true, true]], teacher);

        // (3.617784 + 0.405030 + 4.361444) / 3
        assert!((value - 2.794753).abs() < 1e-5, "{value}");
        let gradient = gradient.try_to_vec::<f32>().unwrap();
        assert_eq!(gradient[5..10], [0.0; 5]);
        assert!(
            gradient[..5]
                .iter()
                .chain(&gradient[10..])
                .all(|g| *g != 0.0)
        );
    }

    #[test]
    fn the_teacher_may_say_anything_about_padding() {
        for anything in [f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
            let mask = [[true, false], [true, true]];
            let (value, gradient) = term_and_gradient(mask, |device| {
                let row = Tensor::full([1, 5], anything, device);
                teacher(device).slice_assign([1..2, 0..5], row)
            });

            let (expected, expected_gradient) = term_and_gradient(mask, teacher);
            assert_eq!(value, expected);
            gradient.assert_approx_eq::<FT>(&expected_gradient, Tolerance::absolute(1e-7));
        }
    }

    #[test]
    fn without_a_token_the_term_is_a_connected_zero() {
        let (value, gradient) = term_and_gradient([[false; 2]; 2], teacher);

        assert_eq!(value, 0.0);
        gradient.assert_eq(&TensorData::from([[0.0_f32; 5]; 4]), false);
    }

    #[test]
    fn the_weight_follows_its_schedule() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
        let schedule = ChangingWeight::Linear {
            from: 0.0,
            to: 1.0,
            epochs: 4,
        };
        let objective = ResponseObjective::new(SoftTargetLossConfig::new().init(), schedule);

        for (epoch, weight) in [(1, 0.25), (2, 0.5), (4, 1.0), (9, 1.0)] {
            let clock = Clock {
                epoch,
                batch: 0,
                batches: 1,
            };
            let context = Context::new(&student, &teacher, &Targets::Unlabeled, &[], clock);
            let terms = objective.forward(&context);

            assert_eq!(terms.iter().next().unwrap().weight, weight);
            let total = terms.total().into_scalar::<f64>();
            assert!((total - 3.432760 * weight).abs() < 1e-5, "{total}");
        }
    }

    #[test]
    fn stands_beside_the_hard_loss_and_other_responses() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
        let logits = LogitMatchingLossConfig::new().init();
        let objective = (
            CrossEntropyObjective::new(0.1),
            soft_target(),
            ResponseObjective::new(logits.clone(), 0.5),
            ResponseObjective::new(logits, 0.0).with_name("watched"),
        );

        let targets = Targets::classes(Tensor::from_data([0, 2, 4, 1], &device));
        let context = Context::new(&student, &teacher, &targets, &[0, 1, 2, 3], Clock::start());
        let terms = objective.forward(&context);

        let names: Vec<_> = terms.iter().map(|term| term.name.as_str()).collect();
        assert_eq!(
            names,
            ["cross-entropy", "soft-target", "logit-matching", "watched"]
        );
        // 0.1 · 4.420278 + 0.9 · 3.432760 + 0.5 · 9.257784
        let total = terms.total().into_scalar::<f64>();
        assert!((total - 8.160404).abs() < 2e-5, "{total}");
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 0 expected 4")]
    fn numbers_of_rows_must_match() {
        let device = Device::default();
        let student = tokens(student(&device), [[true; 2]; 2]);
        let teacher = knowledge(Tensor::zeros([3, 5], &device));

        terms(&soft_target(), &student, &teacher);
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
