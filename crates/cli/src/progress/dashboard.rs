use crate::output::{self, Held};
use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use burn_distill_experiment::Stop;
use std::error::Error;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

/// Dashboard of burn, whose keys stop a run as Ctrl-C does.
///
/// In burn, one key asks the training to stop. Another one ends the thread of the dashboard, and
/// every thread that uses the dashboard afterwards panics. Here both keys request a stop, so that
/// the run can be resumed and shows the command for it.
pub struct Dashboard {
    /// Dashboard of burn; none after it was ended.
    inner: Option<TuiMetricsRendererWrapper>,
    stop: Stop,
    /// Dropped after the dashboard, which restores the screen first.
    _held: Held,
}

impl Dashboard {
    /// Opens the dashboard. Messages are held until it is dropped.
    pub fn open(stop: &Stop) -> Self {
        let held = output::hold();
        #[cfg(unix)]
        terminal::remember();
        let inner = TuiMetricsRendererWrapper::new(stop.interrupter(), None);
        #[cfg(unix)]
        terminal::keep_ctrl_c();
        Self {
            inner: Some(inner),
            stop: stop.clone(),
            _held: held,
        }
    }

    fn show(&mut self, show: impl FnOnce(&mut TuiMetricsRendererWrapper)) {
        let Some(inner) = &mut self.inner else {
            return;
        };
        if panic::catch_unwind(AssertUnwindSafe(|| show(inner))).is_err() {
            self.ended();
        }
    }

    /// Handles a dashboard that was ended, and requests a stop.
    fn ended(&mut self) {
        // Its screen is restored already, and dropping it would panic again.
        mem::forget(self.inner.take());
        // The panic hook of burn would hide every panic from here on.
        let _ = panic::take_hook();
        self.stop.request();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // Closing it shows something, which fails if it was ended in the meantime.
        if let Some(inner) = self.inner.take()
            && panic::catch_unwind(AssertUnwindSafe(|| drop(inner))).is_err()
        {
            self.ended();
        }
        #[cfg(unix)]
        terminal::forget();
    }
}

impl MetricsRendererTraining for Dashboard {
    fn update_train(&mut self, state: MetricState) {
        self.show(|dashboard| dashboard.update_train(state));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.show(|dashboard| dashboard.update_valid(state));
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        // The dashboard resets its request to stop here.
        if self.stop.interrupter().interruption().is_some() {
            self.stop.request();
        }
        let mut ended = Ok(());
        self.show(|dashboard| ended = dashboard.on_train_end(summary));
        ended
    }
}

impl TrainingProgressLogger for Dashboard {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        self.show(|dashboard| {
            TrainingProgressLogger::start(dashboard, epochs, first, items, label);
        });
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.show(|dashboard| dashboard.update_epoch(epoch));
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.show(|dashboard| dashboard.start_split(split, total_items));
    }

    fn update_split(&mut self, items_processed: usize) {
        self.show(|dashboard| dashboard.update_split(items_processed));
    }

    fn end_split(&mut self) {
        self.show(|dashboard| dashboard.end_split());
    }

    fn end(&mut self) {
        self.show(|dashboard| dashboard.end());
    }

    fn log_event_training(&mut self, event: String) {
        self.show(|dashboard| dashboard.log_event_training(event));
    }
}

impl MetricsRenderer for Dashboard {
    fn manual_close(&mut self) {
        self.show(|dashboard| dashboard.manual_close());
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.show(|dashboard| dashboard.register_metric(definition));
    }
}

impl MetricsRendererEvaluation for Dashboard {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.show(|dashboard| dashboard.update_test(name, state));
    }
}

impl EvaluationProgressLogger for Dashboard {
    fn start_global_progress(&mut self, total_tests: usize) {
        self.show(|dashboard| dashboard.start_global_progress(total_tests));
    }

    fn start_test(&mut self, name: &str, total_items: usize) {
        self.show(|dashboard| dashboard.start_test(name, total_items));
    }

    fn update_test_progress(&mut self, items_processed: usize) {
        self.show(|dashboard| dashboard.update_test_progress(items_processed));
    }

    fn end_test(&mut self) {
        self.show(|dashboard| dashboard.end_test());
    }

    fn end_global_progress(&mut self) {
        self.show(|dashboard| dashboard.end_global_progress());
    }

    fn log_event_evaluation(&mut self, event: String) {
        self.show(|dashboard| dashboard.log_event_evaluation(event));
    }
}

#[cfg(unix)]
pub use terminal::give_back as give_back_terminal;

#[cfg(unix)]
mod terminal {
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use std::io::{Write, stdin, stdout};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::thread::sleep;
    use std::time::Duration;

    /// Modes of the terminal before the dashboard was opened.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    fn before() -> MutexGuard<'static, Option<Termios>> {
        BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the modes of the terminal.
    pub fn remember() {
        *before() = tcgetattr(stdin()).ok();
    }

    /// Forgets the modes after the dashboard was closed.
    pub fn forget() {
        *before() = None;
    }

    /// Restores the terminal at once as closing the dashboard does: no mouse, the main screen, the
    /// cursor and the saved modes.
    pub fn give_back() {
        if let Some(modes) = before().take() {
            let codes =
                "\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";
            // The program ends in any case, so an error does not matter.
            let _ = stdout().write_all(codes.as_bytes());
            let _ = stdout().flush();
            let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
        }
    }

    /// Makes Ctrl-C reach the program again.
    ///
    /// The dashboard sets the raw mode of the terminal, in which Ctrl-C is an ordinary key, and
    /// ignores that key.
    pub fn keep_ctrl_c() {
        let terminal = stdin();
        // The dashboard opens on another thread: wait for its raw mode, else it would undo this.
        for _ in 0..100 {
            let Ok(mut modes) = tcgetattr(&terminal) else {
                return; // No terminal, no keys.
            };
            if modes.local_modes.contains(LocalModes::ICANON) {
                sleep(Duration::from_millis(10));
                continue;
            }
            modes.local_modes.insert(LocalModes::ISIG);
            if let Err(error) = tcsetattr(&terminal, OptionalActions::Now, &modes) {
                log::warn!("Ctrl-C will not stop the dashboard, `q` does: {error}");
            }
            return;
        }
    }
}
