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

/// Steps whose figures are read from the device together.
const READ_EVERY: usize = 8;

/// A metric of a distillation: the loss, one of its terms, an accuracy or the agreement.
///
/// It reads from the device every few steps only, so the curve of an epoch has fewer points than
/// the epoch has steps; the value of the epoch is over all of them.
#[derive(Clone)]
pub struct DistillationMetric {
    metric: MetricKind,
    name: MetricName,
    state: NumericMetricState,
    pending: Vec<StepMetrics>,
    fresh: bool,
    /// Whether there was anything to measure since the start of the epoch.
    measured: bool,
    watched: Option<Divergence>,
}

impl DistillationMetric {
    /// The metric that shows that figure.
    pub fn new(metric: MetricKind) -> Self {
        Self {
            name: Arc::new(metric.to_string()),
            metric,
            state: NumericMetricState::new(),
            pending: Vec::with_capacity(READ_EVERY),
            fresh: false,
            measured: false,
            watched: None,
        }
    }

    /// Returns the same metric, which also reports terms of the loss that are NaN or infinite,
    /// whatever it shows: it reads all numbers of a step anyway.
    pub(crate) fn reporting_to(mut self, divergence: Divergence) -> Self {
        self.watched = Some(divergence);
        self
    }

    fn read_pending(&mut self) -> Result<(), TensorReadError> {
        let (mut sum, mut count) = (0.0, 0);
        for reading in StepMetrics::read(&self.pending)? {
            if let Some(divergence) = &self.watched {
                divergence.look_at(&reading);
            }
            if let Some((value, samples)) = self.metric.of(&reading) {
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
            // burn asks for a value in any case. This is none of an epoch, so that neither the history
            // nor a display takes it for one: there was nothing to measure.
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
    /// Returns the value of one step and the number of rows that it is a mean over; nothing where the
    /// step has no such figure.
    fn of(&self, reading: &StepValues) -> Option<(f64, usize)> {
        if reading.hidden.contains(self) {
            return None;
        }
        let percent = |part: usize, whole: usize| {
            (whole > 0).then(|| (100.0 * part as f64 / whole as f64, whole))
        };
        let named = |name: &str| {
            let term = reading.terms.iter().find(|(term, _)| term == name)?;
            Some(term.1)
        };
        match self {
            Self::Loss => Some((reading.loss, reading.rows.max(1))),
            Self::Term(name) => Some((named(name)?, reading.rows.max(1))),
            Self::Shown(name) if reading.labeled > 0 => Some((named(name)?, reading.labeled)),
            Self::Shown(_) => None,
            Self::Accuracy => percent(reading.correct, reading.labeled),
            Self::TeacherAccuracy => percent(reading.teacher_correct, reading.teacher_labeled),
            Self::Agreement => percent(reading.agreed, reading.compared),
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

    fn reading(labeled: usize, terms: Vec<(String, f64)>) -> StepValues {
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
    fn an_accuracy_that_is_shown_is_a_mean_over_labeled_samples() {
        let name = "peer 2 accuracy".to_string();
        let of = |labeled, share| {
            let reading = reading(labeled, vec![(name.clone(), share)]);
            MetricKind::Shown(name.clone()).of(&reading)
        };

        assert_eq!(of(2, 50.0), Some((50.0, 2)));
        assert_eq!(of(0, 0.0), None, "a batch without labels does not count");
    }

    #[test]
    fn a_hidden_figure_is_not_counted() {
        let term = MetricKind::Term("soft-target".into());
        let shown = reading(8, vec![("soft-target".into(), 0.5)]);
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
    fn the_term_that_is_not_finite_is_named_before_the_loss() {
        let terms = |value| {
            vec![
                ("cross-entropy".to_string(), 1.0),
                ("soft".to_string(), value),
            ]
        };
        let of = |loss, value| {
            let reading = reading(8, terms(value));
            StepValues { loss, ..reading }.non_finite()
        };

        assert_eq!(of(1.0, 2.0), None);
        assert_eq!(
            of(f64::NAN, f64::INFINITY),
            Some(MetricKind::Term("soft".into()))
        );
        assert_eq!(of(f64::INFINITY, 2.0), Some(MetricKind::Loss));
    }

    #[test]
    fn a_hidden_figure_may_be_infinite() {
        let soft = MetricKind::Term("soft".into());
        let hiding = |hidden: &[MetricKind]| {
            let terms = vec![
                ("cross-entropy".to_string(), 1.0),
                ("soft".to_string(), f64::NAN),
            ];
            let reading = StepValues {
                loss: f64::INFINITY,
                hidden: hidden.into(),
                ..reading(8, terms)
            };
            reading.non_finite()
        };

        assert_eq!(hiding(&[MetricKind::Loss]), Some(soft.clone()));
        assert_eq!(hiding(std::slice::from_ref(&soft)), Some(MetricKind::Loss));
        assert_eq!(hiding(&[soft, MetricKind::Loss]), None);
    }

    #[test]
    fn an_epoch_without_anything_to_measure_has_no_value() {
        let metric = DistillationMetric::new(MetricKind::TeacherAccuracy);

        assert!(!matches!(metric.final_value(), NumericEntry::Final(_)));
    }
}
