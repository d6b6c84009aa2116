//! The dashboard: where it opens, and its keys.

use crate::common::*;
use crate::pty::Session;
use std::path::Path;
use std::process::Stdio;

const OPENED: &str = "\u{1b}[?1049h";
const CLOSED: &str = "\u{1b}[?1049l";

fn endless() -> Vec<&'static str> {
    [&SHORT[..2], &["teacher.training.epochs=100000"]].concat()
}

/// A long run in the dashboard, in its teacher's training.
fn in_dashboard(out: &Path) -> Session {
    let arguments = run_arguments(out, &endless());
    let arguments = more_than(&arguments, &["--progress", "dashboard"]);
    let session = Session::start(&arguments, out, 120, "xterm-256color");
    let training = out.join("seed-0/teacher");
    wait_until("the dashboard", || session.screen().contains(OPENED));
    wait_until("a checkpoint", || checkpointed_epoch(&training) > Some(1));
    session
}

#[test]
fn each_way_to_quit_the_dashboard_stops_a_run_that_goes_on() {
    for key in ["s", "k"] {
        let out = tempfile::tempdir().unwrap();
        let mut session = in_dashboard(out.path());

        session.press("q");
        wait_until("the question", || session.screen().contains("Quit"));
        session.press(key);
        let (code, screen) = session.end();

        assert_eq!(code, 130, "{key}: {screen}");
        let (_, after) = screen
            .rsplit_once(CLOSED)
            .expect("the screen is given back");
        assert!(
            after.contains("stopped; resume with: burn-distill run"),
            "{key}: {after}"
        );
        assert!(!screen.contains("panicked"), "{key}: {screen}");

        let training = out.path().join("seed-0/teacher");
        let before = checkpointed_epoch(&training);
        let arguments = run_arguments(out.path(), &endless());
        let mut resumed = program(&more_than(&arguments, &["--resume", "--progress", "none"]))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("another epoch", || checkpointed_epoch(&training) > before);
        resumed.kill().unwrap();
        resumed.wait().unwrap();
    }
}

#[test]
fn a_second_ctrl_c_gives_the_screen_back() {
    let out = tempfile::tempdir().unwrap();
    let mut session = in_dashboard(out.path());

    session.press("\x03\x03");
    let (code, screen) = session.end();

    assert_eq!(code, 130, "{screen}");
    assert!(screen.contains(CLOSED), "{screen}");
}

#[test]
fn without_a_terminal_the_dashboard_and_the_bar_become_lines_with_a_warning() {
    for mode in ["dashboard", "bar"] {
        let out = tempfile::tempdir().unwrap();
        let output = run(out.path(), &SHORT, &["--progress", mode]);

        assert_success(&output);
        let said = String::from_utf8(output.stderr).unwrap();
        let warnings = said.lines().filter(|line| line.starts_with("warning: "));
        assert_eq!(warnings.count(), 1, "{said}");
        assert!(said.contains("lines are shown instead"), "{said}");
        assert!(said.contains("seed 0 teacher  epoch 4/4"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}

#[test]
fn a_terminal_that_only_knows_text_gets_lines() {
    for mode in ["dashboard", "bar", "auto"] {
        let out = tempfile::tempdir().unwrap();
        let arguments = run_arguments(out.path(), &SHORT);
        let arguments = more_than(&arguments, &["--progress", mode]);

        let (code, screen) = Session::start(&arguments, out.path(), 100, "dumb").end();

        assert_eq!(code, 0, "{screen}");
        assert!(!screen.contains('\u{1b}'), "{mode}: {screen}");
        assert!(
            screen.contains("seed 0 teacher  epoch 4/4"),
            "{mode}: {screen}"
        );
        assert_eq!(screen.contains("warning: "), mode != "auto", "{screen}");
    }
}
