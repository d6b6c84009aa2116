mod bar;
#[cfg(feature = "tui")]
mod dashboard;
mod notices;

use crate::args::ProgressMode;
use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use burn_distill::strategy::{ByEpoch, Lines, Quiet};
use std::io::{IsTerminal, stderr, stdout};

pub use notices::{notice, take_notices};

/// The display that the command line asks for. One serves all trainings of a command.
pub fn renderer(mode: ProgressMode, interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    match mode {
        ProgressMode::Auto if stdout().is_terminal() && cfg!(feature = "tui") => {
            dashboard(interrupter)
        }
        ProgressMode::Auto if stderr().is_terminal() => ByEpoch::renderer(bar::Bar::default()),
        ProgressMode::Auto | ProgressMode::Lines => ByEpoch::renderer(Lines::default()),
        ProgressMode::Dashboard => dashboard(interrupter),
        ProgressMode::Bar => ByEpoch::renderer(bar::Bar::default()),
        ProgressMode::None => ByEpoch::renderer(Quiet),
    }
}

#[cfg(feature = "tui")]
fn dashboard(interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    dashboard::open(interrupter)
}

#[cfg(not(feature = "tui"))]
fn dashboard(_interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    log::warn!("the dashboard is not built in: build with `--features tui`");
    ByEpoch::renderer(Lines::default())
}
