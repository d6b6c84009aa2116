mod bar;
#[cfg(feature = "tui")]
mod dashboard;
mod lines;
mod quiet;

use crate::args::ProgressMode;
use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use std::io::{IsTerminal, stderr, stdout};

/// The display that the command line asks for. One serves all trainings of a command.
pub fn renderer(mode: ProgressMode, interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    match mode {
        ProgressMode::Auto if stdout().is_terminal() && cfg!(feature = "tui") => {
            dashboard(interrupter)
        }
        ProgressMode::Auto if stderr().is_terminal() => Box::new(bar::Bar::default()),
        ProgressMode::Auto | ProgressMode::Lines => Box::new(lines::Lines::default()),
        ProgressMode::Dashboard => dashboard(interrupter),
        ProgressMode::Bar => Box::new(bar::Bar::default()),
        ProgressMode::None => Box::new(quiet::Quiet),
    }
}

#[cfg(feature = "tui")]
fn dashboard(interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    dashboard::open(interrupter)
}

#[cfg(not(feature = "tui"))]
fn dashboard(_interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    log::warn!("the dashboard is not built in: build with `--features tui`");
    Box::new(lines::Lines::default())
}

/// Implements the parts of burn's renderer that a display of trainings does not use.
macro_rules! displays_training_only {
    ($display:ty) => {
        impl burn::train::logger::EvaluationProgressLogger for $display {
            fn start_global_progress(&mut self, _total_tests: usize) {}
            fn start_test(&mut self, _name: &str, _total_items: usize) {}
            fn update_test_progress(&mut self, _items_processed: usize) {}
            fn end_test(&mut self) {}
            fn end_global_progress(&mut self) {}
            fn log_event_evaluation(&mut self, _event: String) {}
        }

        impl burn::train::renderer::MetricsRendererEvaluation for $display {
            fn update_test(
                &mut self,
                _name: burn::train::renderer::EvaluationName,
                _state: burn::train::renderer::MetricState,
            ) {
            }
        }
    };
}
use displays_training_only;
