use crate::MultiLevelLoss;
use crate::MultiLevelLossConfig;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::{
    CatalogEntry, Context, Input, LossEntry, LossTerm, NamedLoss, PairedRows, Requirements,
    one_line_display,
};

/// The term of a [multi-level loss](MultiLevelLoss) of every view of the samples.
///
/// ```text
/// L = Σ over views of L(view), all with the confidence of the first
/// ```
///
/// The first view is the weak one of the paper, by which it tells what the teacher is sure of; the
/// second is the strong one. Of one view it is a [`BatchObjective`](crate::BatchObjective). All
/// samples count, labeled or not. Of sequences, the tokens that student and teacher both count do, in
/// each view by its own masks.
///
/// # Panics
///
/// `value` panics if there are fewer views, or if one of them has another number of rows or
/// classes.
///
/// # Example
///
/// This is the objective of the paper, of both views with the weights of the authors:
///
/// ```
/// use burn_distill_core::{EveryView, CrossEntropyObjective, Objective, Weighted};
/// use burn_distill_response::{ConfidenceMask, MultiLevelLossConfig, MultiLevelTerm};
///
/// let loss = MultiLevelLossConfig::new().with_confidence(ConfidenceMask::Select);
/// let objective = (
///     EveryView::new(CrossEntropyObjective::new(0.1), 2),
///     Weighted::of(MultiLevelTerm::new(loss.init(), 2), 0.9),
/// );
///
/// assert_eq!(objective.requirements().views, 2);
/// ```
///
/// # Reference
///
/// That of the [loss](MultiLevelLoss). The code of the authors masks only the batch level of its
/// strong view, by the weak one, and then leaves it out; here every level is masked.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MultiLevelTerm {
    /// The loss of the logits of a view.
    pub loss: MultiLevelLoss,
    /// The number of views.
    pub views: usize,
}

one_line_display!(MultiLevelTerm: loss, views);

impl MultiLevelTerm {
    /// Creates the term of a loss of `views` views.
    ///
    /// # Panics
    ///
    /// Panics if there is no view.
    pub fn new(loss: MultiLevelLoss, views: usize) -> Self {
        assert!(views > 0, "An objective needs at least one view.");
        Self { loss, views }
    }
}

impl NamedLoss for MultiLevelTerm {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl LossTerm for MultiLevelTerm {
    fn requirements(&self) -> Requirements {
        Requirements {
            views: self.views,
            ..Requirements::responses()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let views = (0..self.views).map(|view| {
            let view = context.of_view(view);
            PairedRows::of(&view.student.response, &view.teacher.response)
        });
        self.loss.forward_rows(views)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "multi-level",
        abbreviation: "MLLD",
        about: "matches logits of samples, batches and classes",
        kind: "response",
        aliases: &["mlld", "mlkd"],
        reference: "Jin, Wang and Lin, Multi-Level Logit Distillation, CVPR 2023",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let views = builder.take_views();
        let config = builder.configure(MultiLevelLossConfig::new())?;
        builder.term(MultiLevelTerm::new(config.init(), views))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{student, teacher};
    use crate::{BatchLogitLoss, BatchObjective, ConfidenceMask, MultiLevelLossConfig};
    use burn::tensor::{Device, TensorData, Tolerance};
    use burn_distill_core::{Clock, Knowledge, Objective, Response, Taps, Targets, View, Weighted};

    fn knowledge(logits: Tensor<2>) -> Knowledge {
        Knowledge {
            response: Response::Classes(logits),
            taps: Taps::default(),
        }
    }

    /// Two sequences of two tokens.
    fn tokens(rows: Tensor<2>, mask: [bool; 4]) -> Knowledge {
        let mask = Tensor::<1, _>::from_data(mask, &rows.device()).reshape([2, 2]);
        let response = Response::Tokens {
            logits: rows.reshape([2, 2, 5]),
            mask,
        };
        Knowledge {
            response,
            taps: Taps::default(),
        }
    }

    /// The rows in another order, so that the teacher is sure of others.
    fn next(logits: Tensor<2>) -> Tensor<2> {
        let (first, others) = (logits.clone().slice(0..1), logits.slice(1..4));
        Tensor::cat(vec![others, first], 0)
    }

    fn objective(confidence: ConfidenceMask) -> Weighted<MultiLevelTerm> {
        of_views(confidence, 2)
    }

    fn of_views(confidence: ConfidenceMask, views: usize) -> Weighted<MultiLevelTerm> {
        let config = MultiLevelLossConfig::new().with_confidence(confidence);
        Weighted::of(MultiLevelTerm::new(config.init(), views), 0.9)
    }

    fn value(
        objective: &Weighted<MultiLevelTerm>,
        weak: (Knowledge, Knowledge),
        strong: (Knowledge, Knowledge),
    ) -> Tensor<1> {
        let further = [View {
            student: strong.0,
            teacher: strong.1,
        }];
        let (targets, clock) = (Targets::Unlabeled, Clock::start());
        let context = Context::new(&weak.0, &weak.1, &targets, &[], clock);
        let terms = objective.forward(&context.with_further(&further));
        assert_eq!(terms.len(), 1);
        let term = terms.into_iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("multi-level", 0.9));
        term.value
    }

    #[test]
    fn views_add_up_under_the_confidence_of_the_first() {
        let device = Device::default();
        let weak = || (knowledge(student(&device)), knowledge(teacher(&device)));
        let strong = || {
            let (student, teacher) = (student(&device), teacher(&device));
            (knowledge(next(student)), knowledge(next(teacher)))
        };

        let plain = value(&objective(ConfidenceMask::None), weak(), strong());
        let plain = plain.into_scalar::<f64>();
        assert!((plain - 2.0 * 17.1737642).abs() < 1e-4, "{plain}");

        let config = MultiLevelLossConfig::new()
            .with_temperatures(vec![4.0])
            .with_batch(0.0)
            .with_class(0.0)
            .with_confidence(ConfidenceMask::Select);
        let objective = Weighted::of(MultiLevelTerm::new(config.init(), 2), 0.9);
        let selected = value(&objective, weak(), strong()).into_scalar::<f64>();
        // The rows of the soft-target loss: (5.346783 + 0.405030) / 4 + (0.405030 + 4.361444) / 4
        assert!((selected - 2.629572).abs() < 1e-5, "{selected}");
    }

    #[test]
    fn gradient_flows_to_the_student_of_both_views_and_to_no_teacher() {
        let device = Device::default().autodiff();
        let [weak, strong, taught, taught_strongly] = [
            student(&device),
            next(student(&device)),
            teacher(&device),
            next(teacher(&device)),
        ]
        .map(|logits| logits.require_grad());

        let grads = value(
            &objective(ConfidenceMask::Select),
            (knowledge(weak.clone()), knowledge(taught.clone())),
            (
                knowledge(strong.clone()),
                knowledge(taught_strongly.clone()),
            ),
        )
        .backward();

        for student in [weak, strong] {
            let gradient = student.grad(&grads).unwrap().abs().sum();
            assert!(gradient.into_scalar::<f32>() > 0.1);
        }
        for teacher in [taught, taught_strongly] {
            assert!(teacher.grad(&grads).is_none());
        }
    }

    #[test]
    fn one_view_is_like_any_loss_of_batches() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        for confidence in [ConfidenceMask::None, ConfidenceMask::ReferenceCompat] {
            let objective = of_views(confidence, 1);
            let expected = BatchObjective::new(objective.term.loss.clone(), 0.9);

            let [one, expected] = [objective.forward(&context), expected.forward(&context)]
                .map(|terms| terms.total().into_data());
            one.assert_eq(&expected, true);
        }
    }

    #[test]
    fn the_tokens_of_each_view_count_as_its_own_mask_says() {
        let device = Device::default();
        let masks = [[true, false, true, true], [true, true, false, true]];
        let rows = |mask: [bool; 4], logits: Tensor<2>| {
            let kept: Vec<_> = (0..4).filter(|&row| mask[row]).collect();
            let kept = kept
                .into_iter()
                .map(|row| logits.clone().slice(row..row + 1));
            Tensor::cat(kept.collect(), 0)
        };
        let objective = objective(ConfidenceMask::None);
        let view = |mask, f: fn(Tensor<2>) -> Tensor<2>| {
            let teacher = tokens(f(teacher(&device)), [true; 4]);
            (tokens(f(student(&device)), mask), teacher)
        };

        let loss = value(&objective, view(masks[0], |x| x), view(masks[1], next));

        let alone = |mask, f: fn(Tensor<2>) -> Tensor<2>| {
            let (student, teacher) = (f(student(&device)), f(teacher(&device)));
            objective
                .term
                .loss
                .forward(rows(mask, student), rows(mask, teacher))
        };
        let expected = alone(masks[0], |x| x)
            .add(alone(masks[1], next))
            .into_data();
        loss.into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-5, 1e-5));
    }

    #[test]
    fn views_of_nothing_are_a_connected_zero() {
        let device = Device::default().autodiff();
        let none = || Tensor::<2>::zeros([0, 5], &device);
        let student = none().require_grad();
        let weak = (knowledge(student.clone()), knowledge(none()));

        let loss = value(
            &objective(ConfidenceMask::Select),
            weak,
            (knowledge(none()), knowledge(none())),
        );

        let grads = loss.clone().backward();
        loss.into_data()
            .assert_eq(&TensorData::from([0.0_f32]), false);
        assert_eq!(student.grad(&grads).unwrap().dims(), [0, 5]);
    }

    #[test]
    #[should_panic(
        expected = "A view should have the 4 rows and 5 classes of the first, but has 3 and 5."
    )]
    fn views_are_of_the_same_samples() {
        let device = Device::default();
        let weak = (knowledge(student(&device)), knowledge(teacher(&device)));
        let none = || knowledge(Tensor::zeros([3, 5], &device));
        value(&objective(ConfidenceMask::Select), weak, (none(), none()));
    }

    #[test]
    #[should_panic(expected = "An objective needs at least one view.")]
    fn there_is_a_view() {
        of_views(ConfidenceMask::None, 0);
    }

    #[test]
    fn display() {
        let config = MultiLevelLossConfig::new().with_temperatures(vec![4.0]);
        let objective = Weighted::of(MultiLevelTerm::new(config.init(), 2), 0.9);

        assert_eq!(
            objective.with_name("levels").to_string(),
            "Weighted {loss: MultiLevelLoss {temperatures: [4.0], instance: 1, batch: 1, \
             class: 1, confidence: None, standardize: false}, views: 2, name: levels, weight: Constant(0.9)}"
        );
    }
}
