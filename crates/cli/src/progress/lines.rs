use super::displays_training_only;
use burn::train::logger::TrainingProgressLogger;
use burn::train::metric::{MetricDefinition, MetricId, MetricName, NumericEntry};
use burn::train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};
use burn_distill::strategy::Figure;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Instant;

/// Lines per training, at most; the last epoch always has one.
const LINES: usize = 5;

/// A few lines per training, for logs and pipes.
#[derive(Default)]
pub struct Lines {
    epochs: Epochs,
}

/// The metrics of the epochs of one training, in words.
#[derive(Default)]
pub(super) struct Epochs {
    label: String,
    total: usize,
    names: HashMap<MetricId, MetricName>,
    train: Vec<(MetricName, f64)>,
    valid: Vec<(MetricName, f64)>,
    since: Option<Instant>,
}

impl Epochs {
    pub(super) fn start(&mut self, total: usize, label: Option<&str>) {
        self.label = label.unwrap_or("training").into();
        self.total = total;
        self.since = Some(Instant::now());
    }

    pub(super) fn register(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn update(&mut self, valid: bool, state: MetricState) {
        let MetricState::Numeric(entry, Some(NumericEntry::Final(value))) = state else {
            return;
        };
        let Some(name) = self.names.get(&entry.metric_id) else {
            return;
        };
        let values = if valid {
            &mut self.valid
        } else {
            &mut self.train
        };
        values.push((name.clone(), value));
    }

    /// What the epoch that has just ended has to say, in brief: the history has it in full.
    pub(super) fn summary(&mut self) -> String {
        let mut text = String::new();
        let loss = Figure::Loss.to_string();
        for (name, value) in self.train.drain(..).filter(|(name, _)| **name == loss) {
            let _ = write!(text, "  {} {value:.4}", name.to_lowercase());
        }
        text.push_str("  validation:");
        let terms = format!("{loss} @");
        let whole = |name: &MetricName| !name.starts_with(&terms);
        // NaN: there was nothing to measure, as the accuracy of samples without labels.
        for (name, value) in self
            .valid
            .drain(..)
            .filter(|(n, v)| whole(n) && !v.is_nan())
        {
            let decimals = if *name == loss { 4 } else { 1 };
            let _ = write!(text, " {} {value:.decimals$}", name.to_lowercase());
        }
        text
    }

    fn is_worth_a_line(&self, epoch: usize) -> bool {
        let every = self.total.div_ceil(LINES).max(1);
        epoch == self.total || epoch.is_multiple_of(every)
    }
}

displays_training_only!(Lines);

impl MetricsRendererTraining for Lines {
    fn update_train(&mut self, state: MetricState) {
        self.epochs.update(false, state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.epochs.update(true, state);
    }
}

impl TrainingProgressLogger for Lines {
    fn start(&mut self, total: usize, _: usize, _: Option<usize>, label: Option<&str>) {
        self.epochs.start(total, label);
    }

    fn update_epoch(&mut self, epoch: usize) {
        let summary = self.epochs.summary();
        if self.epochs.is_worth_a_line(epoch) {
            let seconds = self
                .epochs
                .since
                .map_or(0.0, |since| since.elapsed().as_secs_f64());
            let (label, total) = (self.epochs.label(), self.epochs.total());
            eprintln!("{label}  epoch {epoch}/{total}{summary}  {seconds:.1} s");
        }
    }

    fn start_split(&mut self, _split: &str, _total_items: usize) {}
    fn update_split(&mut self, _items_processed: usize) {}
    fn end_split(&mut self) {}
    fn end(&mut self) {}
    fn log_event_training(&mut self, _event: String) {}
}

impl MetricsRenderer for Lines {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.epochs.register(definition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(total: usize) -> usize {
        let epochs = Epochs {
            total,
            ..Epochs::default()
        };
        (1..=total)
            .filter(|&epoch| epochs.is_worth_a_line(epoch))
            .count()
    }

    #[test]
    fn long_trainings_have_few_lines_and_short_ones_all() {
        assert_eq!(lines(3), 3);
        assert_eq!(lines(5), 5);
        assert_eq!(lines(240), 5);
        assert!(lines(11) <= 5);
    }
}
