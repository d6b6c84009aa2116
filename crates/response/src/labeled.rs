use crate::place_of_loss::place_of_loss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{connected_zero, zero_rows};
use burn_distill_core::{Context, LossTerm, NamedLoss, Response, Weighted, reduce_rows};

/// A loss that compares the logits of a student with those of a teacher, row by row, and treats the
/// class of the row unlike the others.
pub trait LabeledLoss: NamedLoss {
    /// The loss of every row. No gradient flows to the teacher.
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

    /// Compute the loss of every row, then reduce to a single value.
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

/// The term of a loss between labeled logits of student and teacher: see [`LabeledObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LabeledTerm<L> {
    /// The loss.
    pub loss: L,
}

place_of_loss!(LabeledTerm<LabeledLoss>);

/// A loss between the responses of student and teacher that needs the labels, as one weighted term.
///
/// ```text
/// L = mean of the loss over the labeled samples
/// ```
///
/// Samples without a label do not count, whatever either network says about them; without any
/// labeled sample the term is zero. Of [target probabilities](burn_distill_core::Targets), as from
/// mixing samples, the likeliest class is the label.
///
/// # Panics
///
/// `forward` panics if the response is a sequence or a map: a label is of a sample.
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

        match context.targets.hard() {
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

/// The logits of a response that has one row per label. Shape: `[rows, num_classes]`.
pub(crate) fn rows_of_samples(response: &Response) -> Tensor<2> {
    let rows = response.rows();
    assert!(
        rows.mask.is_none(),
        "A response of tokens has no class per sample: use a loss that needs no labels."
    );
    rows.logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{LABELS, labels, student, teacher};
    use crate::{DecoupledLoss, DecoupledLossConfig};
    use burn::module::Param;
    use burn::tensor::{Device, TensorData, Tolerance};
    use burn_distill_core::{ChangingWeight, Clock, Knowledge, Objective, Taps, Targets};

    type FT = f32;

    fn knowledge(response: impl Into<Response>) -> Knowledge {
        Knowledge {
            response: response.into(),
            taps: Taps::default(),
        }
    }

    fn objective() -> LabeledObjective<DecoupledLoss> {
        LabeledObjective::new(DecoupledLossConfig::new().init(), 0.5)
    }

    fn some_labeled(labeled: [bool; 4], device: &Device) -> Targets {
        Targets::Classes {
            classes: labels(device),
            labeled: Some(Tensor::from_data(labeled, device)),
        }
    }

    /// The value of the term and the gradient of the student.
    fn value_and_gradient(
        change: impl Fn(Tensor<2>) -> Tensor<2>,
        targets: impl Fn(&Device) -> Targets,
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let rows = change(student(&device)).require_grad();
        let student = knowledge(rows.clone());
        let teacher = knowledge(change(teacher(&device)));

        let targets = targets(&device);
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        let value = objective().forward(&context).into_iter().next().unwrap();
        let value = value.value;
        let grads = value.clone().backward();

        let gradient = rows.grad(&grads).unwrap().into_data();
        (value.into_scalar::<f64>(), gradient)
    }

    // Expected values: scripts/labeled.py.

    #[test]
    fn only_labeled_samples_count() {
        let labeled = [true, false, true, false];
        let (value, gradient) =
            value_and_gradient(|rows| rows, |device| some_labeled(labeled, device));

        // (16.436032 + 3.465847) / 2
        assert!((value - 9.950940).abs() < 1e-4, "{value}");
        let gradient = gradient.try_to_vec::<f32>().unwrap();
        assert_eq!(gradient[5..10], [0.0; 5]);
        assert_eq!(gradient[15..], [0.0; 5]);
        assert!(
            gradient[..5]
                .iter()
                .chain(&gradient[10..15])
                .all(|g| *g != 0.0)
        );
    }

    #[test]
    fn both_may_say_anything_about_samples_without_a_label() {
        let targets = |device: &Device| some_labeled([true, false, true, true], device);
        let (expected, expected_gradient) = value_and_gradient(|rows| rows, targets);
        for anything in [f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
            let spoil = |rows: Tensor<2>| {
                let row = Tensor::full([1, 5], anything, &rows.device());
                rows.slice_assign([1..2, 0..5], row)
            };
            let (value, gradient) = value_and_gradient(spoil, targets);

            assert_eq!(value, expected);
            gradient.assert_approx_eq::<FT>(&expected_gradient, Tolerance::absolute(1e-6));
        }
    }

    /// A loss with something to train.
    #[derive(Module, Debug)]
    struct Learned {
        scale: Param<Tensor<1>>,
    }

    impl NamedLoss for Learned {
        fn name(&self) -> &'static str {
            "learned"
        }
    }

    impl LabeledLoss for Learned {
        fn forward_rows(
            &self,
            student: Tensor<2>,
            teacher: Tensor<2>,
            _classes: Tensor<1, Int>,
        ) -> Tensor<1> {
            let square = student.sub(teacher).square().sum_dim(1);
            square.squeeze_dim::<1>(1).mul(self.scale.val())
        }
    }

    #[test]
    fn samples_without_a_label_do_not_spoil_what_a_loss_learns() {
        let device = Device::default().autodiff();
        let scale = Param::from_tensor(Tensor::ones([1], &device));
        let objective = LabeledObjective::new(Learned { scale }, 1.0);
        let spoilt = Tensor::full([1, 5], f32::NAN, &device);
        let teacher = teacher(&device).slice_assign([1..2, 0..5], spoilt);
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher));

        let targets = some_labeled([true, false, true, true], &device);
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        let grads = objective.forward(&context).total().backward();

        let gradient = objective.term.loss.scale.val().grad(&grads).unwrap();
        assert!(gradient.into_scalar::<f32>().is_finite());
    }

    #[test]
    fn without_a_label_the_term_is_a_connected_zero() {
        for targets in [
            |_: &Device| Targets::Unlabeled,
            |device: &Device| some_labeled([false; 4], device),
        ] {
            let (value, gradient) = value_and_gradient(|rows| rows, targets);

            assert_eq!(value, 0.0);
            gradient.assert_eq(&TensorData::from([[0.0_f32; 5]; 4]), false);
        }
    }

    #[test]
    fn the_likeliest_class_of_target_probabilities_is_the_label() {
        let mixed = |device: &Device| {
            let rows = LABELS.map(|label| {
                let mut row = [0.1_f32; 5];
                row[label as usize] = 0.6;
                row
            });
            Targets::Probabilities {
                probabilities: Tensor::from_data(rows, device),
                labeled: None,
            }
        };
        let (value, _) = value_and_gradient(|rows| rows, mixed);

        assert!((value - 26.9512647).abs() < 1e-4, "{value}");
    }

    #[test]
    fn the_weight_follows_its_schedule() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
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
            let targets = Targets::classes(labels(&device));
            let context = Context::new(&student, &teacher, &targets, &[], clock);
            let terms = objective.forward(&context);

            let term = terms.iter().next().unwrap();
            assert_eq!((term.name.as_str(), term.weight), ("decoupled", weight));
        }
    }

    #[test]
    fn a_batch_of_no_samples_is_zero() {
        let device = Device::default();
        let nobody = knowledge(Tensor::zeros([0, 5], &device));
        let targets = Targets::Classes {
            classes: Tensor::zeros([0], &device),
            labeled: Some(Tensor::<1>::zeros([0], &device).bool()),
        };

        let context = Context::new(&nobody, &nobody, &targets, &[], Clock::start());
        assert_eq!(
            objective().forward(&context).total().into_scalar::<f32>(),
            0.0
        );
    }

    #[test]
    #[should_panic(expected = "A response of tokens has no class per sample")]
    fn tokens_are_refused() {
        let device = Device::default();
        let tokens = knowledge(Response::Tokens {
            logits: Tensor::zeros([2, 2, 5], &device),
            mask: Tensor::from_data([[true; 2]; 2], &device),
        });
        let targets = Targets::classes(labels(&device));

        objective().forward(&Context::new(
            &tokens,
            &tokens,
            &targets,
            &[],
            Clock::start(),
        ));
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, num_classes]): axis 1 expected 5")]
    fn numbers_of_classes_must_match() {
        let device = Device::default();
        let student = knowledge(student(&device));
        let teacher = knowledge(Tensor::zeros([4, 4], &device));
        let targets = Targets::classes(labels(&device));

        objective().forward(&Context::new(
            &student,
            &teacher,
            &targets,
            &[],
            Clock::start(),
        ));
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
