use super::{MetricKind, StepMetrics, StepValues};
use crate::DistillationOutput;
use crate::training::Divergence;
use burn::tensor::TensorReadError;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The number of steps whose values are read from the device together.
const READ_EVERY: usize = 8;

/// A metric of a distillation: the loss, one of its terms, an accuracy or the agreement.
///
/// It reads from the device every few steps, so the curve of an epoch has fewer points than the
/// epoch has steps. The value of the epoch is computed from all of them.
#[derive(Clone)]
pub struct DistillationMetric {
    metric: MetricKind,
    name: MetricName,
    state: NumericMetricState,
    pending: Vec<StepMetrics>,
    fresh: bool,
    /// Whether the epoch has had a value so far.
    measured: bool,
    watched: Option<Divergence>,
    /// Whether a step had the term of the metric, or the log says that none has it. Clones share
    /// it: that of the validation is silent after that of the training.
    term_known: Arc<AtomicBool>,
    /// Terms of the last steps that were read, where they have no term of the metric's name.
    other_terms: Vec<String>,
}

impl DistillationMetric {
    /// Creates a metric of this kind.
    pub fn new(metric: MetricKind) -> Self {
        Self {
            name: Arc::new(metric.to_string()),
            metric,
            state: NumericMetricState::new(),
            pending: Vec::with_capacity(READ_EVERY),
            fresh: false,
            measured: false,
            watched: None,
            term_known: Arc::default(),
            other_terms: Vec::new(),
        }
    }

    /// Sets the receiver of terms of the loss that are NaN or infinite. Every kind of metric
    /// reports them, since it reads all values of a step.
    pub(crate) fn reporting_to(mut self, divergence: Divergence) -> Self {
        self.watched = Some(divergence);
        self
    }

    fn read_pending(&mut self) -> Result<(), TensorReadError> {
        let (mut sum, mut count) = (0.0, 0);
        for values in StepMetrics::read(&self.pending)? {
            if let Some(divergence) = &self.watched {
                divergence.check(&values);
            }
            self.look_for_term(&values);
            if let Some((value, samples)) = self.metric.of(&values) {
                sum += value * samples as f64;
                count += samples;
            }
        }
        self.pending.clear();
        if count > 0 {
            self.state.update(sum / count as f64, count);
            self.fresh = true;
            self.measured = true;
        }
        Ok(())
    }

    /// Looks for the term of the metric in a step.
    fn look_for_term(&mut self, values: &StepValues) {
        let (MetricKind::Term(name) | MetricKind::Shown(name)) = &self.metric else {
            return;
        };
        if self.term_known.load(Ordering::Relaxed) {
            return;
        }
        let terms = || values.terms.iter().map(|(term, _)| term);
        match terms().any(|term| term == name) {
            true => self.term_known.store(true, Ordering::Relaxed),
            false => self.other_terms = terms().cloned().collect(),
        }
    }

    /// Returns the warning, once, that no step of the epoch has had the term of the metric.
    fn warning_of_unknown_term(&mut self) -> Option<String> {
        let others = std::mem::take(&mut self.other_terms);
        if others.is_empty() || self.term_known.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(format!(
            "the metric `{}` has no value, because no step of this epoch has a term of this name: the \
             terms are `{}`",
            self.name,
            others.join("`, `")
        ))
    }

    fn format(&self) -> FormatOptions {
        let options = FormatOptions::new(self.name.clone());
        if self.metric.is_percentage() {
            options.unit("%").precision(2)
        } else {
            options.precision(4)
        }
    }

    fn unit(&self) -> Option<&'static str> {
        self.metric.is_percentage().then_some("%")
    }
}

impl Metric for DistillationMetric {
    type Input = StepMetrics;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit().map(str::to_string),
            higher_is_better: self.metric.is_percentage(),
        }
        .into()
    }

    fn update(
        &mut self,
        metrics: &StepMetrics,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        self.fresh = false;
        self.pending.push(metrics.clone());
        if self.pending.len() >= READ_EVERY {
            self.read_pending()?;
        }
        Ok(if self.fresh {
            self.state.compute_update(self.format())
        } else {
            SerializedEntry::not_available(self.unit())
        })
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        self.read_pending()?;
        if let Some(warning) = self.warning_of_unknown_term() {
            log::warn!("{warning}");
        }
        Ok(match self.measured {
            true => self.state.compute_final(self.format()),
            false => SerializedEntry::not_available(self.unit()),
        })
    }

    fn clear(&mut self) {
        self.state.reset();
        self.pending.clear();
        self.fresh = false;
        self.measured = false;
    }
}

impl Numeric for DistillationMetric {
    fn value(&self) -> Option<NumericEntry> {
        self.fresh.then(|| self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.fresh.then(|| self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        match self.measured {
            true => self.state.final_value(),
            // burn requires a value. This one is not of the kind `Final`, so that neither the
            // history nor a display takes it for the value of the epoch, which has none.
            false => self.state.current_value(),
        }
    }
}

impl Adaptor<StepMetrics> for DistillationOutput {
    fn adapt(&self) -> StepMetrics {
        self.metrics.clone()
    }
}

impl MetricKind {
    /// Returns the value of one step and the number of rows that it is the mean of, or `None` where
    /// the step has no such value.
    fn of(&self, values: &StepValues) -> Option<(f64, usize)> {
        if values.hidden.contains(self) {
            return None;
        }
        let percent = |part: usize, whole: usize| {
            (whole > 0).then(|| (100.0 * part as f64 / whole as f64, whole))
        };
        let named = |name: &str| {
            let term = values.terms.iter().find(|(term, _)| term == name)?;
            Some(term.1)
        };
        match self {
            Self::Loss => Some((values.loss, values.rows.max(1))),
            Self::Term(name) => Some((named(name)?, values.rows.max(1))),
            Self::Shown(name) if values.labeled > 0 => Some((named(name)?, values.labeled)),
            Self::Shown(_) => None,
            Self::Accuracy => percent(values.correct, values.labeled),
            Self::TeacherAccuracy => percent(values.teacher_correct, values.teacher_labeled),
            Self::Agreement => percent(values.agreed, values.compared),
        }
    }

    fn is_percentage(&self) -> bool {
        matches!(
            self,
            Self::Accuracy | Self::TeacherAccuracy | Self::Agreement | Self::Shown(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(labeled: usize, terms: Vec<(String, f64)>) -> StepValues {
        StepValues {
            loss: 1.0,
            rows: 8,
            labeled,
            correct: 0,
            teacher_labeled: labeled,
            teacher_correct: 0,
            compared: 8,
            agreed: 0,
            terms,
            hidden: Arc::default(),
        }
    }

    #[test]
    fn a_name_that_no_term_has_is_reported_once() {
        let warnings = |name: &str, terms: &[&str]| {
            let mut metric = DistillationMetric::new(MetricKind::Term(name.into()));
            let terms = terms.iter().map(|term| (term.to_string(), 0.0)).collect();
            metric.look_for_term(&step(8, terms));
            let mut of_validation = metric.clone();
            [&mut metric, &mut of_validation].map(DistillationMetric::warning_of_unknown_term)
        };

        let [first, second] = warnings("sof-target", &["cross-entropy", "soft-target"]);
        let warning = first.unwrap();
        assert!(warning.contains("`Loss @ sof-target`"), "{warning}");
        assert!(
            warning.ends_with("`cross-entropy`, `soft-target`"),
            "{warning}"
        );
        assert_eq!(second, None);
        assert_eq!(warnings("soft-target", &["soft-target"]), [None, None]);
        // A step without terms, such as one of an evaluation, proves nothing.
        assert_eq!(warnings("soft-target", &[]), [None, None]);
    }

    #[test]
    fn a_shown_accuracy_is_a_mean_over_labeled_samples() {
        let name = "peer 2 accuracy".to_string();
        let of = |labeled, share| {
            let values = step(labeled, vec![(name.clone(), share)]);
            MetricKind::Shown(name.clone()).of(&values)
        };

        assert_eq!(of(2, 50.0), Some((50.0, 2)));
        assert_eq!(of(0, 0.0), None, "a batch without labels does not count");
    }

    #[test]
    fn a_hidden_metric_is_not_counted() {
        let term = MetricKind::Term("soft-target".into());
        let shown = step(8, vec![("soft-target".into(), 0.5)]);
        let hidden = StepValues {
            hidden: [term.clone(), MetricKind::Agreement].into(),
            ..shown.clone()
        };

        assert_eq!(term.of(&shown), Some((0.5, 8)));
        assert_eq!(term.of(&hidden), None);
        assert_eq!(MetricKind::Agreement.of(&hidden), None);
        assert_eq!(MetricKind::Loss.of(&hidden), Some((1.0, 8)));
    }

    #[test]
    fn a_term_that_is_not_finite_is_reported_before_the_loss() {
        let terms = |value| {
            vec![
                ("cross-entropy".to_string(), 1.0),
                ("soft".to_string(), value),
            ]
        };
        let of = |loss, value| {
            let values = step(8, terms(value));
            StepValues { loss, ..values }.non_finite()
        };

        assert_eq!(of(1.0, 2.0), None);
        assert_eq!(
            of(f64::NAN, f64::INFINITY),
            Some(MetricKind::Term("soft".into()))
        );
        assert_eq!(of(f64::INFINITY, 2.0), Some(MetricKind::Loss));
    }

    #[test]
    fn a_hidden_metric_may_be_infinite() {
        let soft = MetricKind::Term("soft".into());
        let hiding = |hidden: &[MetricKind]| {
            let terms = vec![
                ("cross-entropy".to_string(), 1.0),
                ("soft".to_string(), f64::NAN),
            ];
            let values = StepValues {
                loss: f64::INFINITY,
                hidden: hidden.into(),
                ..step(8, terms)
            };
            values.non_finite()
        };

        assert_eq!(hiding(&[MetricKind::Loss]), Some(soft.clone()));
        assert_eq!(hiding(std::slice::from_ref(&soft)), Some(MetricKind::Loss));
        assert_eq!(hiding(&[soft, MetricKind::Loss]), None);
    }

    #[test]
    fn an_epoch_without_samples_to_measure_has_no_value() {
        let metric = DistillationMetric::new(MetricKind::TeacherAccuracy);

        assert!(!matches!(metric.final_value(), NumericEntry::Final(_)));
    }
}
