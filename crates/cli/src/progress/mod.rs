mod bar;
mod both;
#[cfg(feature = "tui")]
mod dashboard;
mod logged;

use crate::args::ProgressMode;
use crate::output;
use both::Both;
use burn::train::renderer::MetricsRenderer;
use burn_distill::strategy::{ByEpoch, Lines, Quiet};
use burn_distill_experiment::Stop;
use logged::Logged;
use std::env;
use std::ffi::OsStr;
use std::io::{IsTerminal, stderr, stdin, stdout};

/// Properties of the terminal that decide how progress is shown.
#[derive(Clone, Copy, Debug)]
struct Terminal {
    /// Whether the dashboard can draw on it and read its keys.
    dashboard: bool,
    /// Whether a bar can be redrawn on it.
    bar: bool,
}

impl Terminal {
    fn of_this_program() -> Self {
        let dumb = is_dumb(env::var_os("TERM").as_deref());
        Self {
            dashboard: !dumb && stdout().is_terminal() && stdin().is_terminal(),
            bar: !dumb && stderr().is_terminal(),
        }
    }
}

/// Returns whether a terminal of that kind only shows text, such as the shell of an editor, or is
/// of an unknown kind.
fn is_dumb(kind: Option<&OsStr>) -> bool {
    match kind {
        Some(kind) => kind.is_empty() || kind == "dumb",
        // Other systems do not name the kind of a terminal.
        None => cfg!(unix),
    }
}

/// Returns the display that the command line asks for, or else the nearest one that the terminal
/// can show. All trainings of a command use it.
pub fn renderer(mode: ProgressMode, verbose: u8, stop: &Stop) -> Box<dyn MetricsRenderer> {
    let (mode, warning) = shown(mode, verbose, Terminal::of_this_program());
    if let Some(warning) = warning {
        output::note(format_args!("warning: {warning}"));
    }
    let display = match mode {
        ProgressMode::Dashboard => dashboard(stop),
        ProgressMode::Bar => ByEpoch::renderer(bar::Bar::default()),
        ProgressMode::Auto | ProgressMode::Lines => lines(verbose),
        ProgressMode::None => ByEpoch::renderer(Quiet),
    };
    match verbose {
        0 => display,
        _ => Box::new(Both::new(ByEpoch::renderer(Logged::default()), display)),
    }
}

/// Returns the display to show in place of the requested one, with the reason, if that cannot be
/// shown.
fn shown(
    mode: ProgressMode,
    verbose: u8,
    terminal: Terminal,
) -> (ProgressMode, Option<&'static str>) {
    const NO_DASHBOARD: &str =
        "the dashboard needs a terminal that can move its cursor: lines are shown instead";
    const NOT_BUILT: &str =
        "the dashboard is not built in: lines are shown instead. Build with `--features tui`";
    const NO_BAR: &str = "a bar needs a terminal that can move its cursor: lines are shown instead";
    match mode {
        // The dashboard would cover messages that are to be read during the run.
        ProgressMode::Auto if verbose > 0 => (ProgressMode::Lines, None),
        ProgressMode::Auto if terminal.dashboard && cfg!(feature = "tui") => {
            (ProgressMode::Dashboard, None)
        }
        ProgressMode::Auto if terminal.bar => (ProgressMode::Bar, None),
        ProgressMode::Auto => (ProgressMode::Lines, None),
        ProgressMode::Dashboard if cfg!(not(feature = "tui")) => {
            (ProgressMode::Lines, Some(NOT_BUILT))
        }
        ProgressMode::Dashboard if !terminal.dashboard => (ProgressMode::Lines, Some(NO_DASHBOARD)),
        ProgressMode::Bar if !terminal.bar => (ProgressMode::Lines, Some(NO_BAR)),
        mode => (mode, None),
    }
}

/// Returns the display of a few lines per training, or of none if there are lines for every epoch.
fn lines(verbose: u8) -> Box<dyn MetricsRenderer> {
    match verbose {
        0 | 1 => ByEpoch::renderer(Lines::default()),
        _ => ByEpoch::renderer(Quiet),
    }
}

#[cfg(feature = "tui")]
fn dashboard(stop: &Stop) -> Box<dyn MetricsRenderer> {
    Box::new(dashboard::Dashboard::open(stop))
}

#[cfg(not(feature = "tui"))]
fn dashboard(_: &Stop) -> Box<dyn MetricsRenderer> {
    lines(0)
}

/// Restores the terminal if the dashboard is open, before the program ends at once.
pub fn give_back_terminal() {
    #[cfg(all(unix, feature = "tui"))]
    dashboard::give_back_terminal();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_no_known_kind_shows_text() {
        for (kind, dumb) in [("", true), ("dumb", true), ("xterm-256color", false)] {
            assert_eq!(is_dumb(Some(OsStr::new(kind))), dumb, "{kind}");
        }
        assert_eq!(is_dumb(None), cfg!(unix));
    }

    #[test]
    fn a_display_that_the_terminal_cannot_show_becomes_lines_with_a_warning() {
        let pipe = Terminal {
            dashboard: false,
            bar: false,
        };
        let full = Terminal {
            dashboard: true,
            bar: true,
        };
        for mode in [ProgressMode::Dashboard, ProgressMode::Bar] {
            let (lines, warning) = shown(mode, 0, pipe);
            assert_eq!(lines, ProgressMode::Lines);
            assert!(warning.unwrap().contains("lines are shown instead"));
        }
        for mode in [ProgressMode::Lines, ProgressMode::Bar, ProgressMode::None] {
            assert_eq!(shown(mode, 0, full), (mode, None));
        }
        assert_eq!(
            shown(ProgressMode::Auto, 0, pipe),
            (ProgressMode::Lines, None)
        );
        assert_eq!(
            shown(ProgressMode::Auto, 1, full),
            (ProgressMode::Lines, None)
        );
        let no_keys = Terminal {
            dashboard: false,
            bar: true,
        };
        assert_eq!(
            shown(ProgressMode::Auto, 0, no_keys),
            (ProgressMode::Bar, None)
        );
    }
}
