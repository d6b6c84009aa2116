use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use std::error::Error;

/// Two displays of the same trainings.
pub struct Both {
    first: Box<dyn MetricsRenderer>,
    second: Box<dyn MetricsRenderer>,
}

impl Both {
    /// Creates a display that shows everything on both displays, on the first one first.
    pub fn new(first: Box<dyn MetricsRenderer>, second: Box<dyn MetricsRenderer>) -> Self {
        Self { first, second }
    }

    fn each(&mut self, show: impl Fn(&mut dyn MetricsRenderer)) {
        show(self.first.as_mut());
        show(self.second.as_mut());
    }
}

/// burn's state of a metric, which cannot be cloned by itself.
fn copy(state: &MetricState) -> MetricState {
    match state {
        MetricState::Generic(entry) => MetricState::Generic(entry.clone()),
        MetricState::Numeric(entry, value) => MetricState::Numeric(entry.clone(), value.clone()),
    }
}

impl MetricsRendererTraining for Both {
    fn update_train(&mut self, state: MetricState) {
        self.each(|display| display.update_train(copy(&state)));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.each(|display| display.update_valid(copy(&state)));
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        // A summary, which these trainings do not ask for, is shown once.
        self.first.on_train_end(None)?;
        self.second.on_train_end(summary)
    }
}

impl TrainingProgressLogger for Both {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        self.each(|display| TrainingProgressLogger::start(display, epochs, first, items, label));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.each(|display| display.update_epoch(epoch));
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.each(|display| display.start_split(split, total_items));
    }

    fn update_split(&mut self, items_processed: usize) {
        self.each(|display| display.update_split(items_processed));
    }

    fn end_split(&mut self) {
        self.each(|display| display.end_split());
    }

    fn end(&mut self) {
        self.each(|display| display.end());
    }

    fn log_event_training(&mut self, event: String) {
        self.each(|display| display.log_event_training(event.clone()));
    }
}

impl MetricsRenderer for Both {
    fn manual_close(&mut self) {
        self.each(|display| display.manual_close());
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.each(|display| display.register_metric(definition.clone()));
    }
}

impl MetricsRendererEvaluation for Both {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.each(|display| display.update_test(name.clone(), copy(&state)));
    }
}

impl EvaluationProgressLogger for Both {
    fn start_global_progress(&mut self, total_tests: usize) {
        self.each(|display| display.start_global_progress(total_tests));
    }

    fn start_test(&mut self, name: &str, total_items: usize) {
        self.each(|display| display.start_test(name, total_items));
    }

    fn update_test_progress(&mut self, items_processed: usize) {
        self.each(|display| display.update_test_progress(items_processed));
    }

    fn end_test(&mut self) {
        self.each(|display| display.end_test());
    }

    fn end_global_progress(&mut self) {
        self.each(|display| display.end_global_progress());
    }

    fn log_event_evaluation(&mut self, event: String) {
        self.each(|display| display.log_event_evaluation(event.clone()));
    }
}
