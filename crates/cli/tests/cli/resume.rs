//! A run that is stopped prints the command to resume it, and is resumed.

use crate::common::*;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

fn send(signal: &str, process: &Child) {
    let sent = Command::new("kill")
        .args([signal, &process.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn start(arguments: &[&str], folder: &Path) -> Child {
    program(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a run in a folder, stops it with a signal once that training has a checkpoint, and
/// returns the command that it prints.
fn stopped_in(folder: &Path, arguments: &[&str], training: &Path, signal: &str) -> String {
    let process = start(arguments, folder);
    wait_until("a checkpoint", || checkpointed_epoch(training) > Some(1));
    send(signal, &process);
    let output = ended(process, LIMIT, "a run that is stopped");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    let (_, command) = said.split_once("stopped; resume with: ").expect(&said);
    command.lines().next().unwrap().to_string()
}

/// Runs a command in a shell that finds the program.
fn in_shell(folder: &Path, command: &str) -> Output {
    let programs = Path::new(PROGRAM).parent().unwrap().display();
    let line = format!("PATH='{programs}':\"$PATH\" && {command}");
    let child = Command::new("sh")
        .args(["-c", &line])
        .env_remove("BURN_DEVICE")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    ended(child, LIMIT, &line)
}

#[test]
fn the_command_that_a_stopped_run_prints_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("my recipe.toml");
    fs::copy(crate::common::recipe("quickstart"), &recipe).unwrap();
    let out = folder.path().join("a run");
    let arguments = [
        "run",
        "my recipe.toml",
        "--seed",
        "3",
        "--set",
        "teacher.model=mlp-32",
        "--set",
        "teacher.training.epochs=80",
        "--set",
        "student.model=mlp-8",
        "--set",
        "student.training.epochs=3",
        "--set",
        "loss.1={kind=\"kd\", temperature=2.0}",
        "--set",
        "about=what's new",
        "--progress",
        "lines",
        "--out",
        "a run",
    ];
    let training = out.join("seed-3/teacher");

    let command = stopped_in(folder.path(), &arguments, &training, "-INT");

    let epoch = checkpointed_epoch(&training).unwrap();
    assert!(epoch < 80, "stopped too late to show anything");
    let output = in_shell(folder.path(), &command);
    assert_success(&output);
    let result = result(&out);
    assert_eq!(result["seeds"], serde_json::json!([3]));
    assert_eq!(result["recipe"]["loss"][1]["temperature"], 2.0);
    assert_eq!(checkpointed_epoch(&training), Some(80));
}

#[test]
fn a_resume_with_another_recipe_says_what_differs() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[1..], &["seeds=[3]"]].concat();
    assert_success(&run(out.path(), &changes, &[]));
    let before = fs::read(out.path().join("result.json")).unwrap();

    let output = run(out.path(), &SHORT[1..4], &["--resume"]);

    let error = said(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in [
        "this run was started with another recipe",
        "`seeds` is [0, 1, 2], but the run was started with [3]",
        "`student.training.epochs` is 60, but the run was started with 3",
        "--seed and --set",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("`teacher."), "{error}");
    assert_eq!(fs::read(out.path().join("result.json")).unwrap(), before);
}

#[test]
fn a_request_to_terminate_and_a_second_ctrl_c_leave_a_run_that_goes_on() {
    let changes = [
        &SHORT[..2],
        &["teacher.training.epochs=80", "student.training.epochs=2"],
    ]
    .concat();
    for signals in [&["-TERM"][..], &["-INT", "-INT"]] {
        let out = tempfile::tempdir().unwrap();
        let training = out.path().join("seed-0/teacher");
        let arguments = run_arguments(out.path(), &changes);
        let process = start(&more_than(&arguments, &[]), out.path());
        wait_until("a checkpoint", || checkpointed_epoch(&training) > Some(1));
        let (first, more) = signals.split_first().unwrap();
        send(first, &process);
        for signal in more {
            // It may be gone by itself already.
            let process = process.id().to_string();
            let _ = Command::new("kill")
                .args([*signal, process.as_str()])
                .output();
        }
        let output = ended(process, LIMIT, "a run that is stopped");
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        assert!(checkpointed_epoch(&training).unwrap() < 80);

        assert_success(&run(out.path(), &changes, &["--resume"]));
        assert_eq!(checkpointed_epoch(&training), Some(80));
    }
}

#[test]
fn a_run_that_is_stopped_while_a_loss_is_prepared_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let losses = "loss=[{kind='hard'},{kind='factor-transfer',paraphraser_epochs=60}]";
    let changes = [&SHORT[..], &[losses]].concat();
    let arguments = run_arguments(out.path(), &changes);
    let training = out.path().join("seed-0/prepared/factor-transfer");
    let arguments = more_than(&arguments, &[]);

    stopped_in(out.path(), &arguments, &training, "-INT");

    assert!(checkpointed_epoch(&training).unwrap() < 60);
    assert!(!training.join("model.bpk").exists());
    assert_success(&run(out.path(), &changes, &["--resume"]));
    assert_eq!(checkpointed_epoch(&training), Some(60));
}

#[test]
fn paths_of_the_command_line_are_relative_to_the_current_folder_also_for_a_resume_from_another() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("recipes")).unwrap();
    fs::create_dir(root.join("weights")).unwrap();
    fs::copy(recipe("quickstart"), root.join("recipes/a.toml")).unwrap();
    let first = root.join("first");
    assert_success(&run(&first, &SHORT, &[]));
    fs::copy(
        first.join("seed-0/teacher/model.bpk"),
        root.join("weights/t.bpk"),
    )
    .unwrap();

    let run_in = |folder: &Path, recipe: &str, more: &[&str]| {
        let mut arguments = vec!["run", recipe];
        for change in &SHORT {
            arguments.extend(["--set", change]);
        }
        arguments.extend(more);
        program(&arguments).current_dir(folder).output().unwrap()
    };
    let set = [
        "--set",
        "teacher.weights=weights/t.bpk",
        "--set",
        "teacher.others=[{model='mlp-32', weights='weights/t.bpk'}]",
    ];
    let started = [&set[..], &["--out", "second"]].concat();
    assert_success(&run_in(root, "recipes/a.toml", &started));

    // The folder of the run knows them from anywhere.
    let saved = fs::read_to_string(root.join("second/recipe.toml")).unwrap();
    let saved: toml::Table = saved.parse().unwrap();
    let weights = saved["teacher"]["weights"].as_str().unwrap();
    assert!(Path::new(weights).is_absolute(), "{weights}");
    fs::remove_dir_all(root.join("second/seed-0/distilled")).unwrap();
    let elsewhere = [
        "--set",
        "teacher.weights=../weights/t.bpk",
        "--set",
        "teacher.others=[{model='mlp-32', weights='../weights/t.bpk'}]",
        "--resume",
        "--out",
        "../second",
    ];
    assert_success(&run_in(&root.join("recipes"), "a.toml", &elsewhere));
    assert!(root.join("second/seed-0/distilled/model.bpk").exists());
    // And so does its own recipe, in which everything is written out.
    let own = root.join("second/recipe.toml").display().to_string();
    let out = root.join("second").display().to_string();
    let output = program(&["run", &own, "--resume", "--out", &out])
        .current_dir("/")
        .output()
        .unwrap();
    assert_success(&output);
}
