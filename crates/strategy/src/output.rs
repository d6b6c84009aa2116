use crate::{Figure, Figures};
use burn::tensor::{Bool, ExecutionError, Int, Tensor};
use burn::train::{InferenceStep, ItemLazy, LearnerModel, TrainStep};
use burn_distill_core::{Batch, Input, Response, Targets, Terms};

/// What one step of a distillation yields.
#[derive(Clone, Debug)]
pub struct DistillationOutput {
    /// The loss. Shape: `[1]`.
    pub loss: Tensor<1>,
    /// Everything that the metrics show, in one tensor: read from the device once, not per metric.
    pub figures: Figures,
}

impl DistillationOutput {
    /// Creates the output from the terms of the loss, and counts the figures that metrics are made of.
    ///
    /// Without a teacher there is neither an accuracy of it nor an agreement with it, and without
    /// classes of the student there is no accuracy.
    pub fn new(
        terms: Terms,
        student: &Response,
        teacher: Option<&Response>,
        targets: &Targets,
    ) -> Self {
        let loss = terms.total();
        let counts = Counts::new(student, teacher, targets, &loss);
        let classes = logits(student).is_some();
        let taught = teacher.and_then(logits).is_some();
        let absent = [
            (classes, Figure::Accuracy),
            (taught, Figure::TeacherAccuracy),
            (classes && taught, Figure::Agreement),
        ];
        let absent = absent.into_iter().filter(|(is_there, _)| !is_there);
        let figures = Figures::new(loss.clone(), terms, counts);
        Self {
            figures: figures.hiding(absent.map(|(_, figure)| figure)),
            loss,
        }
    }

    /// The same loss, with more to show.
    ///
    /// # Panics
    ///
    /// Panics if something of that name is shown already.
    pub fn showing(self, terms: Terms) -> Self {
        Self {
            figures: self.figures.and(terms),
            ..self
        }
    }

    /// Hides figures that would not be what their name says in this step: those of a teacher that has
    /// nothing to say of validation samples, or a loss that lacks one of its terms.
    pub fn hiding(self, figures: impl IntoIterator<Item = Figure>) -> Self {
        Self {
            figures: self.figures.hiding(figures),
            ..self
        }
    }

    /// Hides the loss, its terms and what is shown beside them.
    pub fn hiding_terms(self) -> Self {
        Self {
            figures: self.figures.hiding_terms(),
            ..self
        }
    }
}

/// A model that [`Training`](crate::Training) trains: one that eats batches of `I` and yields a
/// [`DistillationOutput`]. Every strategy of this crate is one.
pub trait Distiller<I: Input>:
    LearnerModel
    + TrainStep<Input = Batch<I>, Output = DistillationOutput>
    + InferenceStep<Input = Batch<I>, Output = DistillationOutput>
{
}

impl<I: Input, M> Distiller<I> for M where
    M: LearnerModel
        + TrainStep<Input = Batch<I>, Output = DistillationOutput>
        + InferenceStep<Input = Batch<I>, Output = DistillationOutput>
{
}

impl ItemLazy for DistillationOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        // No read-back: the work of the step is handed to the device, and the graph is let go.
        self.loss.device().flush()?;
        Ok(Self {
            loss: self.loss.without_autodiff(),
            figures: self.figures,
        })
    }
}

/// Counts over the samples of a batch, each a tensor of shape `[1]`.
pub(crate) struct Counts {
    /// Samples.
    pub samples: Tensor<1>,
    /// Samples whose class is known.
    pub labelled: Tensor<1>,
    /// Labelled samples that the student has right.
    pub correct: Tensor<1>,
    /// Labelled samples that the teacher has right.
    pub teacher_correct: Tensor<1>,
    /// Samples on which student and teacher predict the same class.
    pub agreed: Tensor<1>,
}

impl Counts {
    fn new(
        student: &Response,
        teacher: Option<&Response>,
        targets: &Targets,
        loss: &Tensor<1>,
    ) -> Self {
        // Counted in single precision whatever the model computes in: half precision would stop
        // counting at 2048.
        let device = loss.device().without_autodiff();
        let options = (&device, burn::tensor::DType::F32);
        let constant = |value: usize| Tensor::<1>::full([1], value as f64, options);
        let count = |matches: Tensor<1, Bool>| matches.float().cast(options.1).sum();

        let student = logits(student).map(predictions);
        let teacher = teacher.and_then(logits).map(predictions);
        let hard = targets.hard().map(|(classes, labelled)| {
            let labelled = labelled.map(Tensor::without_autodiff);
            (classes.without_autodiff(), labelled)
        });

        let right = |predictions: &Option<Tensor<1, Int>>| match (predictions, &hard) {
            (Some(predictions), Some((classes, labelled))) => {
                let right = predictions.clone().equal(classes.clone());
                count(match labelled {
                    Some(labelled) => right.bool_and(labelled.clone()),
                    None => right,
                })
            }
            _ => constant(0),
        };

        let samples = student
            .as_ref()
            .map_or(0, |predictions| predictions.dims()[0]);
        Self {
            samples: constant(samples),
            labelled: match &hard {
                Some((_, Some(labelled))) => count(labelled.clone()),
                Some((classes, None)) => constant(classes.dims()[0]),
                None => constant(0),
            },
            correct: right(&student),
            teacher_correct: right(&teacher),
            agreed: match (student, teacher) {
                (Some(student), Some(teacher)) => count(student.equal(teacher)),
                _ => constant(0),
            },
        }
    }
}

/// The logits of a response with one class per target: samples, or the proposals of a detector.
fn logits(response: &Response) -> Option<&Tensor<2>> {
    match response {
        Response::Classes(logits) | Response::Boxes { logits, .. } => Some(logits),
        _ => None,
    }
}

/// The most likely class of each sample. Shape: `[batch_size]`.
pub(crate) fn predictions(logits: &Tensor<2>) -> Tensor<1, Int> {
    logits.clone().without_autodiff().argmax(1).squeeze_dim(1)
}
