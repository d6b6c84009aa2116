use crate::MetricKind;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricId, MetricName, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use std::collections::HashMap;
use std::fmt;

/// A display that shows a training once per epoch, from which [`ByEpoch`] makes a renderer of burn.
pub trait EpochDisplay: Send + Sync {
    /// Shows that a training starts or is resumed.
    fn start(&mut self, training: &TrainingTitle);

    /// Shows the metrics of an epoch that has ended.
    fn epoch(&mut self, epoch: usize, metrics: &EpochMetrics);

    /// Shows that the training has ended.
    fn end(&mut self) {}
}

/// The label and the epochs of a training that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingTitle {
    /// Label of the training.
    pub label: String,
    /// First epoch of this run, counted from 1.
    pub first_epoch: usize,
    /// Number of epochs of the training.
    pub epochs: usize,
}

/// The metrics of one epoch. Its `Display` form is short; the history has all metrics in full.
#[derive(Clone, Debug, Default)]
pub struct EpochMetrics {
    /// Metrics of the training samples.
    pub train: Vec<(MetricName, f64)>,
    /// Metrics of the validation samples.
    pub valid: Vec<(MetricName, f64)>,
}

impl fmt::Display for EpochMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loss = MetricKind::Loss.to_string();
        let is_loss = |name: &MetricName| **name == loss;
        let of = |metrics: &[(MetricName, f64)]| {
            let mut metrics = metrics.iter().filter(|(name, _)| is_loss(name));
            metrics.next().map(|(_, value)| *value)
        };
        let is_broken = |loss: Option<f64>| loss.is_some_and(|loss| !loss.is_finite());
        let (train, valid) = (of(&self.train), of(&self.valid));
        if is_broken(train) {
            // The accuracy of a network that has diverged means nothing.
            return write!(f, "{} is not finite", loss.to_lowercase());
        }
        if let Some(train) = train {
            write!(f, "{} {train:.4}  ", loss.to_lowercase())?;
        }
        if self.valid.is_empty() {
            return write!(f, "no validation samples");
        }
        write!(f, "validation:")?;
        if is_broken(valid) {
            return write!(f, " {} is not finite", loss.to_lowercase());
        }
        let terms = MetricKind::Term(String::new()).to_string();
        let shown = |name: &MetricName| !name.starts_with(&terms);
        for (name, value) in self.valid.iter().filter(|(name, _)| shown(name)) {
            let decimals = if is_loss(name) { 4 } else { 1 };
            write!(f, " {} {value:.decimals$}", name.to_lowercase())?;
        }
        Ok(())
    }
}

/// A renderer of burn that shows a training with an [`EpochDisplay`].
pub struct ByEpoch<D> {
    display: D,
    names: HashMap<MetricId, MetricName>,
    metrics: EpochMetrics,
}

impl<D: EpochDisplay + 'static> ByEpoch<D> {
    /// Creates a renderer from a display.
    pub fn renderer(display: D) -> Box<dyn MetricsRenderer> {
        Box::new(Self {
            display,
            names: HashMap::new(),
            metrics: EpochMetrics::default(),
        })
    }
}

impl<D> ByEpoch<D> {
    /// Returns the value of a metric for an epoch, which burn sends after those of the batches.
    fn of_epoch(&self, state: MetricState) -> Option<(MetricName, f64)> {
        match state {
            MetricState::Numeric(entry, Some(NumericEntry::Final(value))) => {
                Some((self.names.get(&entry.metric_id)?.clone(), value))
            }
            _ => None,
        }
    }
}

impl<D: EpochDisplay> MetricsRendererTraining for ByEpoch<D> {
    fn update_train(&mut self, state: MetricState) {
        let metric = self.of_epoch(state);
        self.metrics.train.extend(metric);
    }

    fn update_valid(&mut self, state: MetricState) {
        let metric = self.of_epoch(state);
        self.metrics.valid.extend(metric);
    }
}

impl<D: EpochDisplay> TrainingProgressLogger for ByEpoch<D> {
    fn start(&mut self, epochs: usize, first: usize, _: Option<usize>, label: Option<&str>) {
        self.metrics = EpochMetrics::default();
        self.display.start(&TrainingTitle {
            label: label.unwrap_or("training").into(),
            first_epoch: first,
            epochs,
        });
    }

    fn update_epoch(&mut self, epoch: usize) {
        let metrics = std::mem::take(&mut self.metrics);
        self.display.epoch(epoch, &metrics);
    }

    fn end(&mut self) {
        self.display.end();
    }

    fn start_split(&mut self, _split: &str, _total_items: usize) {}
    fn update_split(&mut self, _items_processed: usize) {}
    fn end_split(&mut self) {}
    fn log_event_training(&mut self, _event: String) {}
}

impl<D: EpochDisplay> MetricsRenderer for ByEpoch<D> {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }
}

// burn's renderers also show evaluations. `Predictions` evaluates without a display.
impl<D: EpochDisplay> MetricsRendererEvaluation for ByEpoch<D> {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl<D: EpochDisplay> EvaluationProgressLogger for ByEpoch<D> {
    fn start_global_progress(&mut self, _total_tests: usize) {}
    fn start_test(&mut self, _name: &str, _total_items: usize) {}
    fn update_test_progress(&mut self, _items_processed: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _event: String) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DistillationMetric;
    use burn::train::metric::{MetricEntry, Numeric, SerializedEntry};
    use std::sync::Arc;

    #[test]
    fn metrics_are_shown_in_short() {
        let metric = |metric: MetricKind, value| (Arc::new(metric.to_string()), value);
        let metrics = EpochMetrics {
            train: vec![
                metric(MetricKind::Loss, 0.5),
                metric(MetricKind::Accuracy, 99.0),
            ],
            valid: vec![
                metric(MetricKind::Loss, 0.25),
                metric(MetricKind::Term("cross-entropy".into()), 0.1),
                metric(MetricKind::Accuracy, 98.765),
                metric(MetricKind::Shown("peer 2 accuracy".into()), 97.0),
            ],
        };

        assert_eq!(
            metrics.to_string(),
            "loss 0.5000  validation: loss 0.2500 accuracy 98.8 peer 2 accuracy 97.0"
        );
    }

    #[test]
    fn no_accuracy_is_shown_for_a_loss_that_is_not_finite() {
        let shown = |train, valid| {
            let metric = |metric: MetricKind, value| (Arc::new(metric.to_string()), value);
            let metrics = EpochMetrics {
                train: vec![metric(MetricKind::Loss, train)],
                valid: vec![
                    metric(MetricKind::Loss, valid),
                    metric(MetricKind::Accuracy, 9.8),
                ],
            };
            metrics.to_string()
        };

        assert_eq!(shown(f64::NAN, 1.0), "loss is not finite");
        assert_eq!(shown(f64::INFINITY, f64::NAN), "loss is not finite");
        assert_eq!(
            shown(0.5, f64::NAN),
            "loss 0.5000  validation: loss is not finite"
        );
    }

    #[test]
    fn a_metric_without_a_value_is_not_shown() {
        let mut display = ByEpoch {
            display: super::super::Quiet,
            names: HashMap::new(),
            metrics: EpochMetrics::default(),
        };
        let name = Arc::new(MetricKind::Agreement.to_string());
        let id = MetricId::new(name.clone());
        display.names.insert(id.clone(), name);
        let entry = SerializedEntry::new(String::new(), String::new());
        let value = Numeric::final_value(&DistillationMetric::new(MetricKind::Agreement));

        display.update_valid(MetricState::Numeric(
            MetricEntry::new(id, entry),
            Some(value),
        ));

        assert!(display.metrics.valid.is_empty());
    }
}
