use super::MetricKind;
use crate::output::Counts;
use burn::tensor::{DType, Tensor, TensorReadError};
use burn_distill_core::Terms;
use std::sync::{Arc, OnceLock};

/// The values of one step that metrics show, stacked into one tensor on the device.
///
/// Reading from a GPU waits for it. Metrics therefore collect the tensors of several steps and read
/// them together: see [`StepMetrics::read`].
#[derive(Clone, Debug)]
pub struct StepMetrics {
    names: Arc<[String]>,
    hidden: Arc<[MetricKind]>,
    stacked: Tensor<1>,
    values: Arc<OnceLock<StepValues>>,
}

/// The values of one step that metrics show, read from the device.
#[derive(Clone, Debug, PartialEq)]
pub struct StepValues {
    /// Loss.
    pub loss: f64,
    /// Number of rows of the student: samples of a classifier, tokens of a sequence without
    /// padding, or proposals of a detector.
    pub rows: usize,
    /// Number of rows of the student with a label.
    pub labeled: usize,
    /// Number of labeled rows that the student predicts correctly.
    pub correct: usize,
    /// Number of rows of the teacher with a label.
    pub teacher_labeled: usize,
    /// Number of labeled rows that the teacher predicts correctly.
    pub teacher_correct: usize,
    /// Number of rows of both student and teacher.
    pub compared: usize,
    /// Number of rows for which student and teacher predict the same class.
    pub agreed: usize,
    /// Value of each term of the loss without its weight, by name.
    pub terms: Vec<(String, f64)>,
    /// Metrics that do not apply to the step. Their values above are ignored.
    pub hidden: Arc<[MetricKind]>,
}

/// The number of values before the terms in the stacked tensor.
const FIXED: usize = 8;

impl StepMetrics {
    pub(crate) fn new(loss: Tensor<1>, terms: Terms, counts: Counts) -> Self {
        let values = vec![
            single(loss),
            counts.rows,
            counts.labeled,
            counts.correct,
            counts.teacher_labeled,
            counts.teacher_correct,
            counts.compared,
            counts.agreed,
        ];
        let fixed = Self {
            names: Arc::default(),
            hidden: Arc::default(),
            stacked: Tensor::cat(values, 0),
            values: Arc::default(),
        };
        fixed.and(terms)
    }

    /// Hides metrics that do not apply to this step.
    pub(crate) fn hiding(self, metrics: impl IntoIterator<Item = MetricKind>) -> Self {
        Self {
            hidden: self.hidden.iter().cloned().chain(metrics).collect(),
            values: Arc::default(),
            ..self
        }
    }

    /// Hides the loss and all terms.
    pub(crate) fn hiding_terms(self) -> Self {
        let names = self.names.clone();
        let terms = names.iter().cloned().map(MetricKind::Term);
        self.hiding(terms.chain([MetricKind::Loss]))
    }

    /// Adds terms.
    pub(crate) fn and(self, terms: Terms) -> Self {
        let mut names = self.names.to_vec();
        let mut values = vec![self.stacked.clone()];
        for term in terms {
            assert!(
                !names.contains(&term.name),
                "Two terms or metrics of a step are named `{}`: give one of them another name.",
                term.name
            );
            names.push(term.name);
            values.push(single(term.value));
        }
        Self {
            names: names.into(),
            stacked: Tensor::cat(values, 0),
            values: Arc::default(),
            ..self
        }
    }

    /// Reads the values of several steps from the device, all at once.
    ///
    /// Values that were read before, also through a clone, are not read again.
    ///
    /// # Errors
    ///
    /// Returns an error if the device fails.
    pub fn read(steps: &[StepMetrics]) -> Result<Vec<StepValues>, TensorReadError> {
        let unread: Vec<_> = steps
            .iter()
            .filter(|step| step.values.get().is_none())
            .collect();
        if !unread.is_empty() {
            let stacked = unread.iter().map(|step| step.stacked.clone()).collect();
            let numbers = Tensor::cat(stacked, 0).try_into_data()?;
            let numbers: Vec<f64> = numbers.iter::<f64>().collect();
            let mut rest = numbers.as_slice();
            for step in unread {
                let (head, tail) = rest.split_at(FIXED + step.names.len());
                // Another metric may have read the same values in the meantime.
                let _ = step.values.set(StepValues::new(head, step));
                rest = tail;
            }
        }
        Ok(steps
            .iter()
            .filter_map(|step| step.values.get().cloned())
            .collect())
    }
}

fn single(value: Tensor<1>) -> Tensor<1> {
    value.without_autodiff().cast(DType::F32)
}

impl StepValues {
    fn new(values: &[f64], step: &StepMetrics) -> Self {
        let count = |value: f64| value.round() as usize;
        Self {
            loss: values[0],
            rows: count(values[1]),
            labeled: count(values[2]),
            correct: count(values[3]),
            teacher_labeled: count(values[4]),
            teacher_correct: count(values[5]),
            compared: count(values[6]),
            agreed: count(values[7]),
            terms: step
                .names
                .iter()
                .cloned()
                .zip(values[FIXED..].iter().copied())
                .collect(),
            hidden: step.hidden.clone(),
        }
    }

    /// Returns the first term of the loss that is NaN or infinite, or else the loss if it is.
    /// Hidden metrics do not count.
    pub fn non_finite(&self) -> Option<MetricKind> {
        let terms = self.terms.iter().map(|(name, value)| {
            let metric = MetricKind::Term(name.clone());
            (metric, *value)
        });
        let mut metrics = terms.chain([(MetricKind::Loss, self.loss)]);
        let broken =
            metrics.find(|(metric, value)| !value.is_finite() && !self.hidden.contains(metric));
        broken.map(|(metric, _)| metric)
    }
}
