use crate::{LabeledRows, MetricKind, StepMetrics};
use burn::tensor::{Bool, DType, ExecutionError, Int, Tensor};
use burn::train::{InferenceStep, ItemLazy, LearnerModel, TrainStep};
use burn_distill_core::{Batch, Input, Response, Targets, Terms};

/// The output of one training or validation step.
///
/// Metrics of burn that take a `ClassificationOutput` take it as well: accuracy, top-k accuracy,
/// perplexity, precision, recall and F-score of the labeled samples, and the loss.
#[derive(Clone, Debug)]
pub struct DistillationOutput {
    /// Loss. Shape: `[1]`.
    pub loss: Tensor<1>,
    /// Values of the metrics of this crate, in one tensor that is read from the device once, and
    /// not per metric.
    pub metrics: StepMetrics,
    /// Logits and classes, for metrics of burn; `None` where there are no classes.
    pub labeled: Option<LabeledRows>,
}

impl DistillationOutput {
    /// Creates the output of a step from the terms of the loss, the responses and the targets.
    ///
    /// Accuracy and agreement are computed over samples of a classifier, tokens of a sequence
    /// without padding, or proposals of a detector. Labels count only if there is one per such row.
    ///
    /// Without a teacher there is neither its accuracy nor the agreement with it, and without class
    /// logits of the student there is no accuracy.
    pub fn new(
        terms: Terms,
        student: &Response,
        teacher: Option<&Response>,
        targets: &Targets,
    ) -> Self {
        let loss = terms.total();
        let student_rows = ClassRows::of(student);
        let teacher_rows = teacher.and_then(ClassRows::of);
        let labels = |rows: &Option<ClassRows>| rows.as_ref().and_then(|rows| rows.labels(targets));
        let counts = Counts::new(
            &student_rows,
            &teacher_rows,
            [labels(&student_rows), labels(&teacher_rows)],
            &loss,
        );
        let compared = match (&student_rows, &teacher_rows) {
            (Some(student), Some(teacher)) => student.is_comparable_to(teacher),
            _ => false,
        };
        let absent = [
            (student_rows.is_some(), MetricKind::Accuracy),
            (teacher_rows.is_some(), MetricKind::TeacherAccuracy),
            (compared, MetricKind::Agreement),
        ];
        let absent = absent.into_iter().filter(|(is_there, _)| !is_there);
        let metrics = StepMetrics::new(loss.clone(), terms, counts);
        Self {
            metrics: metrics.hiding(absent.map(|(_, metric)| metric)),
            labeled: LabeledRows::new(student, targets),
            loss,
        }
    }

    /// Adds values to show, which do not change the loss.
    ///
    /// # Panics
    ///
    /// Panics if a value of the same name is shown already.
    pub fn showing(self, terms: Terms) -> Self {
        Self {
            metrics: self.metrics.and(terms),
            ..self
        }
    }

    /// Hides metrics that do not apply to this step, such as those of a teacher that has no
    /// predictions for validation samples, or a loss without one of its terms.
    pub fn hiding(self, metrics: impl IntoIterator<Item = MetricKind>) -> Self {
        Self {
            metrics: self.metrics.hiding(metrics),
            ..self
        }
    }

    /// Hides the loss, its terms and the values that are shown with them.
    pub fn hiding_terms(self) -> Self {
        Self {
            metrics: self.metrics.hiding_terms(),
            ..self
        }
    }
}

/// A model that [`Training`](crate::Training) trains: its steps take batches with inputs of type
/// `I` and return a [`DistillationOutput`]. Every strategy of this crate is one.
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
        // Nothing is read: the operations of the step are submitted to the device, and the graph is
        // freed.
        self.loss.device().flush()?;
        Ok(Self {
            loss: self.loss.without_autodiff(),
            ..self
        })
    }
}

/// Counts of rows in a batch, each a tensor of shape `[1]`. A row is a sample of a classifier, a
/// token of a sequence without padding, or a proposal of a detector.
pub(crate) struct Counts {
    /// Rows of the student.
    pub rows: Tensor<1>,
    /// Rows of the student with a label.
    pub labeled: Tensor<1>,
    /// Labeled rows that the student predicts correctly.
    pub correct: Tensor<1>,
    /// Rows of the teacher with a label.
    pub teacher_labeled: Tensor<1>,
    /// Labeled rows that the teacher predicts correctly.
    pub teacher_correct: Tensor<1>,
    /// Rows of both student and teacher.
    pub compared: Tensor<1>,
    /// Rows for which student and teacher predict the same class.
    pub agreed: Tensor<1>,
}

impl Counts {
    fn new(
        student: &Option<ClassRows>,
        teacher: &Option<ClassRows>,
        [student_labels, teacher_labels]: [Option<RowLabels>; 2],
        loss: &Tensor<1>,
    ) -> Self {
        // Counts are in single precision for every model: half precision has no 2049.
        let options = (&loss.device().without_autodiff(), DType::F32);
        let constant = |value: usize| Tensor::<1>::full([1], value as f64, options);
        let rows_of = |rows: usize, mask: &Option<Tensor<1, Bool>>| match mask {
            Some(mask) => count(mask.clone()),
            None => constant(rows),
        };
        let labeled = |labels: &Option<RowLabels>| match labels {
            Some(labels) => rows_of(labels.classes.dims()[0], &labels.counted),
            None => constant(0),
        };
        let correct = |rows: &Option<ClassRows>, labels: &Option<RowLabels>| match (rows, labels) {
            (Some(rows), Some(labels)) => count(labels.correct(&rows.predicted)),
            _ => constant(0),
        };
        let (compared, agreed) = match (student, teacher) {
            (Some(student), Some(teacher)) if student.is_comparable_to(teacher) => {
                let both = both(student.mask.clone(), teacher.mask.clone());
                let agreed = student.predicted.clone().equal(teacher.predicted.clone());
                let rows = rows_of(student.predicted.dims()[0], &both);
                (rows, count(within(agreed, &both)))
            }
            _ => (constant(0), constant(0)),
        };
        Self {
            rows: match student {
                Some(student) => rows_of(student.predicted.dims()[0], &student.mask),
                None => constant(0),
            },
            labeled: labeled(&student_labels),
            correct: correct(student, &student_labels),
            teacher_labeled: labeled(&teacher_labels),
            teacher_correct: correct(teacher, &teacher_labels),
            compared,
            agreed,
        }
    }
}

/// Returns the number of rows for which a mask is true. Shape: `[1]`.
fn count(mask: Tensor<1, Bool>) -> Tensor<1> {
    mask.float().cast(DType::F32).sum()
}

/// Returns the rows for which both masks are true. `None` is a mask that is true everywhere.
fn both(one: Option<Tensor<1, Bool>>, other: Option<Tensor<1, Bool>>) -> Option<Tensor<1, Bool>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.bool_and(other)),
        (one, other) => one.or(other),
    }
}

/// Returns `rows` restricted to a mask. `None` is a mask that is true everywhere.
fn within(rows: Tensor<1, Bool>, mask: &Option<Tensor<1, Bool>>) -> Tensor<1, Bool> {
    match mask {
        Some(mask) => rows.bool_and(mask.clone()),
        None => rows,
    }
}

/// The predicted class of each row of a response, as constants.
pub(crate) struct ClassRows {
    /// Number of sequences and their length, for a response of tokens.
    tokens: Option<[usize; 2]>,
    /// Shape: `[rows]`.
    predicted: Tensor<1, Int>,
    /// True for the rows that count; `None` when all do. Shape: `[rows]`.
    mask: Option<Tensor<1, Bool>>,
}

impl ClassRows {
    /// Returns the predictions of a response, or `None` if it has no class logits.
    pub(crate) fn of(response: &Response) -> Option<Self> {
        if let Response::Maps(_) = response {
            return None;
        }
        let tokens = response.token_mask().map(|mask| mask.dims());
        let rows = response.rows();
        Some(Self {
            tokens,
            predicted: predictions(&rows.logits),
            mask: rows.mask.map(Tensor::without_autodiff),
        })
    }

    /// Returns whether the rows of two responses are of the same samples, tokens or proposals.
    fn is_comparable_to(&self, other: &Self) -> bool {
        self.tokens == other.tokens && self.predicted.dims() == other.predicted.dims()
    }

    /// Returns the labels of the rows, and a mask of the rows that have one and count, or `None`
    /// where there is not one label per row.
    pub(crate) fn labels(&self, targets: &Targets) -> Option<RowLabels> {
        let (classes, labeled) = targets.class_labels()?;
        (classes.dims() == self.predicted.dims()).then(|| RowLabels {
            classes: classes.without_autodiff(),
            counted: both(self.mask.clone(), labeled.map(Tensor::without_autodiff)),
        })
    }

    /// Returns the share of the labeled rows that are predicted correctly, which is zero if no row
    /// is labeled, or `None` without labels. Shape: `[1]`.
    pub(crate) fn accuracy(&self, targets: &Targets) -> Option<Tensor<1>> {
        let labels = self.labels(targets)?;
        let correct = labels.correct(&self.predicted);
        Some(match labels.counted {
            None => correct.float().cast(DType::F32).mean(),
            Some(counted) => count(correct).div(count(counted).clamp_min(1.0)),
        })
    }
}

/// The known classes of the rows of a response, as constants.
pub(crate) struct RowLabels {
    /// Shape: `[rows]`.
    classes: Tensor<1, Int>,
    /// True for the rows that have a label and count; `None` when all do. Shape: `[rows]`.
    counted: Option<Tensor<1, Bool>>,
}

impl RowLabels {
    /// Returns true for the labeled rows that are predicted correctly. Shape: `[rows]`.
    fn correct(&self, predicted: &Tensor<1, Int>) -> Tensor<1, Bool> {
        within(predicted.clone().equal(self.classes.clone()), &self.counted)
    }
}

/// Returns the class with the largest logit of each row. Shape: `[rows]`.
pub(crate) fn predictions(logits: &Tensor<2>) -> Tensor<1, Int> {
    logits.clone().without_autodiff().argmax(1).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StepValues;
    use burn::tensor::Device;

    const STUDENT: [[[f32; 2]; 3]; 2] = [
        [[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]],
        [[0.0, 3.0], [1.0, 0.0], [f32::NAN, 9.0]],
    ];
    const TEACHER: [[[f32; 2]; 3]; 2] = [
        [[2.0, 1.0], [1.0, 0.0], [0.0, 3.0]],
        [[0.0, 3.0], [1.0, 0.0], [9.0, 0.0]],
    ];

    fn tokens(logits: [[[f32; 2]; 3]; 2], mask: [[bool; 3]; 2]) -> Response {
        let device = Device::default();
        Response::Tokens {
            logits: Tensor::from_data(logits, &device),
            mask: Tensor::from_data(mask, &device),
        }
    }

    fn read(student: &Response, teacher: Option<&Response>, targets: &Targets) -> StepValues {
        let terms = Terms::one("loss", Tensor::ones([1], &Device::default()), 1.0);
        let output = DistillationOutput::new(terms, student, teacher, targets);
        StepMetrics::read(&[output.metrics]).unwrap().remove(0)
    }

    fn classes(labeled: Option<[bool; 6]>) -> Targets {
        let device = Device::default();
        Targets::Classes {
            classes: Tensor::from_data([0, 1, 1, 1, 1, 1], &device),
            labeled: labeled.map(|labeled| Tensor::from_data(labeled, &device)),
        }
    }

    #[test]
    fn tokens_without_padding_are_counted() {
        let mask = [[true, true, true], [true, true, false]];
        let (student, teacher) = (tokens(STUDENT, mask), tokens(TEACHER, mask));

        let values = read(&student, Some(&teacher), &classes(None));

        // Of 5 tokens the student predicts 0 1 0 1 0, the teacher 0 0 1 1 0.
        assert_eq!(values.rows, 5);
        assert_eq!((values.correct, values.labeled), (3, 5));
        assert_eq!((values.teacher_correct, values.teacher_labeled), (3, 5));
        assert_eq!((values.agreed, values.compared), (3, 5));
        assert!(values.hidden.is_empty());
    }

    #[test]
    fn accuracies_count_the_tokens_of_each_side_and_the_agreement_those_of_both() {
        let student = tokens(STUDENT, [[true, true, true], [true, true, false]]);
        let teacher = tokens(TEACHER, [[true, false, true], [true, false, true]]);
        let labeled = [true, true, false, true, true, true];

        let values = read(&student, Some(&teacher), &classes(Some(labeled)));

        assert_eq!(values.rows, 5);
        assert_eq!((values.correct, values.labeled), (3, 4));
        assert_eq!((values.teacher_correct, values.teacher_labeled), (2, 3));
        assert_eq!((values.agreed, values.compared), (2, 3));
    }

    #[test]
    fn labels_of_samples_do_not_count_for_tokens() {
        let student = tokens(STUDENT, [[true; 3]; 2]);
        let targets = Targets::labels(&[Some(0), Some(1)], &Device::default());

        let values = read(&student, None, &targets);

        assert_eq!((values.correct, values.labeled), (0, 0));
        assert_eq!(values.rows, 6);
    }

    #[test]
    fn a_teacher_with_other_rows_has_no_agreement() {
        let device = Device::default();
        let student = tokens(STUDENT, [[true; 3]; 2]);
        let teacher = Response::Classes(Tensor::zeros([6, 2], &device));

        let values = read(&student, Some(&teacher), &Targets::Unlabeled);

        assert_eq!((values.agreed, values.compared), (0, 0));
        assert_eq!(*values.hidden, [MetricKind::Agreement]);
    }

    #[test]
    fn samples_of_a_classifier_are_counted() {
        let device = Device::default();
        let student = Tensor::<2>::from_data([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]], &device);
        let teacher = Tensor::<2>::from_data([[2.0, 1.0], [1.0, 0.0], [9.0, 0.0]], &device);
        let targets = Targets::labels(&[Some(0), Some(1), None], &device);

        let values = read(&student.into(), Some(&teacher.into()), &targets);

        assert_eq!(values.rows, 3);
        assert_eq!((values.correct, values.labeled), (2, 2));
        assert_eq!((values.teacher_correct, values.teacher_labeled), (1, 2));
        assert_eq!((values.agreed, values.compared), (2, 3));
    }
}
