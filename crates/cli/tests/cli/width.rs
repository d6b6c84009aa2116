//! Tables fit the terminal they are printed on.

use crate::common::*;
use crate::pty::Session;
use std::path::Path;

fn on_terminal(arguments: &[&str], columns: u16) -> String {
    let (code, screen) = Session::start(arguments, Path::new("/"), columns, "xterm").end();
    assert_eq!(code, 0, "{screen}");
    screen
}

fn widest(text: &str) -> usize {
    let text = console::strip_ansi_codes(text);
    let lines = text.lines().map(|line| line.trim_end().chars().count());
    lines.max().unwrap()
}

#[test]
fn lists_fit_the_terminal_unless_wide() {
    for what in ["models", "losses", "strategies", "datasets"] {
        for columns in [60, 80, 120] {
            let list = on_terminal(&["list", what], columns);
            assert!(
                widest(&list) <= columns.into(),
                "{what} in {columns}:\n{list}"
            );
        }
        let piped = program(&["list", what]).output().unwrap().stdout;
        let piped = String::from_utf8(piped).unwrap();
        let wide = on_terminal(&["list", what, "--wide"], 80);
        assert_eq!(widest(&wide), widest(&piped), "{what}");
    }
    // Names are whole, at the beginning of a line.
    let losses = on_terminal(&["list", "losses"], 80);
    assert!(
        losses
            .lines()
            .any(|line| line.trim_start().starts_with("soft-target ")),
        "{losses}"
    );
}

#[test]
fn help_and_inspections_fit_the_terminal() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["list", "--help"],
        &["inspect", "--help"],
        &["inspect", "resnet20"],
    ] {
        let screen = on_terminal(arguments, 80);
        assert!(widest(&screen) <= 80, "{arguments:?}:\n{screen}");
    }
}

#[test]
fn the_result_fits_the_terminal_unless_wide() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[..], &["data.without_class=3"]].concat();
    let arguments = run_arguments(out.path(), &changes);
    let more = ["--progress", "none", "--resume"];
    assert_success(&run(out.path(), &changes, &[]));

    // All is trained: only the table is new.
    for columns in [60, 80, 100] {
        let screen = on_terminal(&more_than(&arguments, &more), columns);
        let (_, table) = screen.split_once('─').unwrap();
        let (table, _) = table.split_once("test samples").unwrap();
        assert!(widest(table) <= columns.into(), "{columns}:\n{screen}");
        for part in [
            "student (baseline)",
            "distilled",
            "mlp-8",
            "accuracy",
            " ± ",
        ] {
            assert!(table.contains(part), "{part} in {columns}:\n{screen}");
        }
    }
    let wide = [&more[..], &["--wide"]].concat();
    let wide = on_terminal(&more_than(&arguments, &wide), 60);
    for header in [
        "accuracy %",
        "on class 3 %",
        "agreement %",
        "latency ms",
        "bytes",
    ] {
        assert!(wide.contains(header), "{header}: {wide}");
    }
    let piped = run(out.path(), &changes, &["--resume"]).stdout;
    assert!(String::from_utf8(piped).unwrap().contains("latency ms"));
}
