use crate::BoundedRegressionLoss;
use crate::BoundedRegressionLossConfig;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{connected_zero, zero_rows};
use burn_distill_core::{
    CatalogEntry, Context, Input, LossEntry, LossTerm, NamedLoss, Response, Targets, Weighted,
    one_line_display, reduce_rows,
};

/// Term of a [bounded regression loss](BoundedRegressionLoss) between the boxes of student and
/// teacher: see [`BoundedRegressionObjective`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BoundedRegressionTerm {
    /// Loss of the boxes.
    pub loss: BoundedRegressionLoss,
    /// Index of the background class.
    pub background: usize,
}

one_line_display!(BoundedRegressionTerm: loss, background);

/// Weighted term of a [bounded regression loss](BoundedRegressionLoss) between the boxes of student
/// and teacher.
///
/// ```text
/// L = mean of the loss over the proposals that are not background
/// ```
///
/// The [targets](Targets::Boxes) hold one class and one box per proposal. The boxes of background
/// proposals do not matter. If all proposals are background, or without targets, the term is zero.
/// A [`ProposalClassificationLoss`](crate::ProposalClassificationLoss) with the same `background`
/// compares the classes of the proposals.
///
/// # Panics
///
/// `forward` panics if a response or the targets do not consist of boxes.
///
/// # Example
///
/// The objective of Chen et al. for the head of a detector:
///
/// ```
/// use burn_distill_response::{
///     BoundedRegressionLossConfig, BoundedRegressionObjective, LabeledObjective,
///     ProposalClassificationLossConfig,
/// };
///
/// let objective = (
///     LabeledObjective::new(ProposalClassificationLossConfig::new().init(), 1.0),
///     BoundedRegressionObjective::new(BoundedRegressionLossConfig::new().init(), 1.0),
/// );
///
/// assert_eq!(objective.1.name, "bounded-regression");
/// assert_eq!(objective.1.term.background, objective.0.term.loss.background);
/// ```
pub type BoundedRegressionObjective = Weighted<BoundedRegressionTerm>;

/// Creates the term with class 0 as the background.
impl From<BoundedRegressionLoss> for BoundedRegressionTerm {
    fn from(loss: BoundedRegressionLoss) -> Self {
        Self {
            loss,
            background: 0,
        }
    }
}

impl BoundedRegressionTerm {
    /// Sets the index of the background class.
    pub fn with_background(mut self, background: usize) -> Self {
        self.background = background;
        self
    }

    fn mean(&self, student: Tensor<2>, teacher: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (classes, target) = match targets {
            Targets::Boxes { classes, deltas } => (classes.clone(), deltas.clone()),
            Targets::Unlabeled => return connected_zero(student),
            _ => panic!(
                "The bounded regression loss needs targets of boxes, but the targets are of another \
                 kind: give the batch annotated boxes, or leave the loss out."
            ),
        };
        let [proposals, _] = student.dims();
        assert_shape!(teacher, [proposals, 4]);
        assert_shape!(classes, [proposals]);
        assert_shape!(target, [proposals, 4]);

        let matched = Some(classes.not_equal_scalar(self.background as i64));
        let [student, teacher, target] =
            [student, teacher, target].map(|boxes| zero_rows(boxes, matched.as_ref()));
        let loss = self.loss.forward_no_reduction(student, teacher, target);
        reduce_rows(loss, matched, &Reduction::Mean)
    }
}

impl NamedLoss for BoundedRegressionTerm {
    fn name(&self) -> &'static str {
        "bounded-regression"
    }
}

impl LossTerm for BoundedRegressionTerm {
    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let student = boxes(&context.student.response, "student");
        let teacher = boxes(&context.teacher.response, "teacher");
        self.mean(student, teacher, context.targets)
    }
}

fn boxes(response: &Response, whose: &str) -> Tensor<2> {
    match response {
        Response::Boxes { deltas, .. } => deltas.clone(),
        _ => panic!(
            "The bounded regression loss compares boxes, but the response of the {whose} is of another \
             kind: use networks that output boxes."
        ),
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "bounded-regression",
        abbreviation: "",
        about: "bounds the box regression by the teacher's error",
        kind: "response",
        aliases: &[],
        reference: "Chen et al., Learning Efficient Object Detection Models with Knowledge \
            Distillation, NIPS 2017",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let background = match builder.take("background") {
            None => 0,
            Some(taken) => match taken.value.as_u64() {
                Some(class) => class as usize,
                None => return Err(taken.refused("the index of a class, from 0")),
            },
        };
        let config = builder.configure(BoundedRegressionLossConfig::new())?;
        builder.term(BoundedRegressionTerm::from(config.init()).with_background(background))
    })
    .for_responses("boxes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BoundedRegressionLossConfig;
    use burn::tensor::Device;
    use burn_distill_core::{Clock, Knowledge, Objective, Taps};

    /// Returns the knowledge of a detector with these boxes.
    fn knowledge(boxes: Tensor<2>) -> Knowledge {
        let [proposals, _] = boxes.dims();
        Knowledge {
            response: Response::Boxes {
                logits: Tensor::zeros([proposals, 3], &boxes.device()),
                deltas: boxes,
            },
            taps: Taps::default(),
        }
    }

    fn objective() -> BoundedRegressionObjective {
        BoundedRegressionObjective::new(BoundedRegressionLossConfig::new().init(), 2.0)
    }

    #[test]
    #[should_panic(expected = "needs targets of boxes")]
    fn targets_must_be_boxes() {
        let device = Device::default();
        let student = knowledge(Tensor::ones([2, 4], &device));
        let targets = Targets::classes(Tensor::from_data([1, 2], &device));
        objective().forward(&Context::new(
            &student,
            &student,
            &targets,
            &[],
            Clock::start(),
        ));
    }

    #[test]
    #[should_panic(expected = "compares boxes, but the response of the teacher is of another kind")]
    fn responses_must_be_boxes() {
        let device = Device::default();
        let student = knowledge(Tensor::ones([2, 4], &device));
        let teacher = Knowledge {
            response: Response::Classes(Tensor::ones([2, 4], &device)),
            taps: Taps::default(),
        };
        let targets = Targets::Unlabeled;
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
        let objective = Weighted::of(objective().term.with_background(20), 2.0);
        assert_eq!(
            objective.with_name("boxes").to_string(),
            "Weighted {loss: BoundedRegressionLoss {margin: 0, \
             bounded_weight: 0.5}, background: 20, name: boxes, weight: Constant(2.0)}"
        );
    }
}
