//! Output that goes nowhere: closed pipes, full disks and closed streams.

use crate::common::*;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Runs a line of a shell, in which `$PROGRAM` is the program, and panics if it does not end.
fn shell(line: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("PROGRAM", PROGRAM);
    command.env_remove("BURN_DEVICE").env_remove("RUST_LOG");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(command.spawn().unwrap(), Duration::from_secs(120), line)
}

/// A run whose output goes where the redirection says; its exit code, and what else was said.
fn run_into(out: &Path, progress: &str, redirection: &str) -> (i32, String) {
    let (run, code) = (out.join("run"), out.join("code"));
    let arguments = run_arguments(&run, &SHORT);
    let arguments = more_than(&arguments, &["--progress", progress]);
    let quoted: Vec<_> = arguments.iter().map(|word| format!("'{word}'")).collect();
    let line = format!(
        "{{ \"$PROGRAM\" {}; echo $? > '{}'; }} {redirection}",
        quoted.join(" "),
        code.display()
    );
    let said = String::from_utf8(shell(&line).stderr).unwrap();
    let code = fs::read_to_string(code).expect(&line);
    (code.trim().parse().unwrap(), said)
}

#[test]
fn a_run_continues_when_its_messages_are_not_read() {
    for (progress, redirection) in [
        ("lines", "2>&1 | head -1 >&-"),
        ("lines", "2>&1 | true"),
        ("lines", "2>&1 | { read -r line; exec 0<&-; sleep 0.2; }"),
        ("lines", "| true"),
        ("bar", "2>&1 | true"),
        ("dashboard", "2>&1 | true"),
        ("none", "2>&1 | true"),
        ("lines", "2>&-"),
        ("lines", ">&-"),
        ("lines", ">&- 2>&-"),
        ("lines", "2>/dev/full"),
        ("lines", "</dev/null 2>&1 | head -1"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let (code, said) = run_into(out.path(), progress, redirection);

        assert_eq!(code, 0, "{redirection}: {said}");
        assert!(!said.contains("panicked"), "{redirection}: {said}");
        assert!(out.path().join("run/result.json").exists(), "{redirection}");
    }
}

#[test]
fn a_pipe_that_is_closed_in_the_middle_of_a_run_never_hangs() {
    for _ in 0..5 {
        let out = tempfile::tempdir().unwrap();
        let (code, _) = run_into(out.path(), "lines", "2>&1 | head -2");
        assert_eq!(code, 0);
        assert!(out.path().join("run/result.json").exists());
    }
}

#[test]
fn a_result_that_cannot_be_printed_is_an_error_of_one_line_and_kept() {
    let out = tempfile::tempdir().unwrap();

    let (code, said) = run_into(out.path(), "none", ">/dev/full");

    assert_eq!(code, 1, "{said}");
    let errors: Vec<_> = said.lines().filter(|line| line.contains("error")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(
        errors[0].starts_with("error: cannot write to the standard output"),
        "{said}"
    );
    assert!(out.path().join("run/result.json").exists());
    assert!(
        said.contains("result.json"),
        "where it is kept is said: {said}"
    );
}

#[test]
fn lists_and_help_end_quietly_in_a_closed_pipe_and_with_an_error_on_a_full_disk() {
    for command in [
        "list losses",
        "list strategies --json",
        "list models --wide",
        "inspect resnet20",
        "inspect resnet20 --json",
        "--help",
        "run --help",
        "--version",
    ] {
        let closed = shell(&format!(
            "{{ \"$PROGRAM\" {command} && echo fine >&2; }} | true"
        ));
        let said = String::from_utf8(closed.stderr).unwrap();
        assert_eq!(said, "fine\n", "{command}");

        let full = shell(&format!("\"$PROGRAM\" {command} >/dev/full"));
        let said = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{command}: {said}");
        assert_eq!(said.lines().count(), 1, "{command}: {said}");
        assert!(
            said.starts_with("error: cannot write to the standard output"),
            "{command}: {said}"
        );

        for streams in [">&-", "2>&-", ">&- 2>&-", "2>/dev/full >/dev/null"] {
            let closed = shell(&format!("\"$PROGRAM\" {command} {streams}"));
            assert_eq!(closed.status.code(), Some(0), "{command} {streams}");
        }
    }
}

#[test]
fn an_error_that_cannot_be_printed_is_an_exit_code() {
    for streams in ["2>&-", "2>/dev/full"] {
        let refused = shell(&format!("\"$PROGRAM\" run nowhere.toml {streams}"));
        assert_eq!(refused.status.code(), Some(1), "{streams}");
        let unknown = shell(&format!("\"$PROGRAM\" lst {streams}"));
        assert_eq!(unknown.status.code(), Some(2), "{streams}");
    }
}
