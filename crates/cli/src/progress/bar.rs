use burn_distill::strategy::{EpochDisplay, EpochMetrics, TrainingTitle};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar per training, for a terminal without a dashboard.
#[derive(Default)]
pub struct Bar {
    bar: Option<ProgressBar>,
}

impl EpochDisplay for Bar {
    fn start(&mut self, training: &TrainingTitle) {
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {eta} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(training.epochs as u64)
            .with_style(style)
            .with_prefix(training.label.clone());
        bar.set_position(training.first_epoch.saturating_sub(1) as u64);
        self.bar = Some(bar);
    }

    fn epoch(&mut self, epoch: usize, metrics: &EpochMetrics) {
        if let Some(bar) = &self.bar {
            bar.set_message(metrics.to_string());
            bar.set_position(epoch as u64);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}
