use super::displays_training_only;
use super::lines::Epochs;
use burn::train::logger::TrainingProgressLogger;
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar per training, for a terminal without a dashboard.
#[derive(Default)]
pub struct Bar {
    epochs: Epochs,
    bar: Option<ProgressBar>,
}

displays_training_only!(Bar);

impl MetricsRendererTraining for Bar {
    fn update_train(&mut self, state: MetricState) {
        self.epochs.update(false, state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.epochs.update(true, state);
    }
}

impl TrainingProgressLogger for Bar {
    fn start(&mut self, total: usize, first: usize, _: Option<usize>, label: Option<&str>) {
        self.epochs.start(total, label);
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {eta} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total as u64).with_style(style);
        bar.set_prefix(self.epochs.label().to_string());
        bar.set_position(first.saturating_sub(1) as u64);
        self.bar = Some(bar);
    }

    fn update_epoch(&mut self, epoch: usize) {
        let summary = self.epochs.summary();
        if let Some(bar) = &self.bar {
            bar.set_position(epoch as u64);
            bar.set_message(summary);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }

    fn start_split(&mut self, _split: &str, _total_items: usize) {}
    fn update_split(&mut self, _items_processed: usize) {}
    fn end_split(&mut self) {}
    fn log_event_training(&mut self, _event: String) {}
}

impl MetricsRenderer for Bar {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.epochs.register(definition);
    }
}
