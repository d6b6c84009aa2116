//! `burn-distill run` of recipes with tasks that are learned one after another.

use crate::common::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Few samples, a small network, few epochs and two tasks in another order than that of the data.
const SMALL: [&str; 5] = [
    "data.samples=200",
    "student.model=convnet-4-6",
    "student.training.epochs=2",
    "tasks={ classes = [[3, 1, 4, 0, 5], [9, 2, 6, 8, 7]] }",
    "seeds=[0, 1]",
];

fn arguments(name: &str, out: &Path, changes: &[&str]) -> Vec<String> {
    let changes = [&SMALL[..], changes].concat();
    arguments_of(&recipe(&format!("lifelong/{name}")), out, &changes)
}

fn mean(value: &Value) -> f64 {
    value["mean"].as_f64().unwrap()
}

#[test]
fn every_strategy_learns_tasks_and_reports_its_forgetting() {
    for (name, changes) in [
        ("fine-tuning", &[][..]),
        ("joint", &[]),
        (
            "lwf",
            &["strategy.freeze_old_heads=true", "strategy.epsilon=1e-5"],
        ),
        ("ewc", &["strategy.fisher.labels=given"]),
        (
            "icarl",
            &["strategy.exemplars=30", "strategy.form=cross-entropy"],
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        let arguments = arguments(name, out.path(), changes);
        let output = program(&more_than(&arguments, &[])).output().unwrap();

        assert_success(&output);
        let result = result(out.path());
        let tasks = &result["tasks"];
        assert_eq!(
            tasks["classes"][1],
            serde_json::json!([9, 2, 6, 8, 7]),
            "{name}"
        );
        for kind in ["task_aware", "task_agnostic"] {
            let measures = &tasks[kind];
            let rows = measures["accuracy"].as_array().unwrap();
            let sizes: Vec<_> = rows
                .iter()
                .map(|row| row.as_array().unwrap().len())
                .collect();
            assert_eq!(sizes, [1, 2], "{name}");
            let [first, last] = [&rows[0][0], &rows[1][0]].map(mean);
            // With two tasks, forgetting is the negative backward transfer.
            let forgetting = mean(&measures["average_forgetting"]);
            assert!((forgetting - (first - last)).abs() < 1e-9, "{name}");
            assert!(
                (mean(&measures["backward_transfer"]) + forgetting).abs() < 1e-9,
                "{name}"
            );
            assert_eq!(
                measures["average_accuracy"]["per_seed"]
                    .as_array()
                    .unwrap()
                    .len(),
                2
            );
        }
        // The deployed network predicts the same, in the order of the data set, and is plain.
        let row = &tasks["task_agnostic"]["accuracy"][1];
        let average = (mean(&row[0]) + mean(&row[1])) / 2.0;
        let deployed = mean(&result["distilled"]["accuracy"]);
        assert!(
            (deployed - average).abs() < 0.03,
            "{name}: {deployed}, {average}"
        );
        assert_eq!(
            result["distilled"]["parameters"],
            result["baseline"]["parameters"]
        );
        let stages = result["stages"].as_array().unwrap();
        assert_eq!(stages[1]["name"], "task-2", "{name}");
        let table = String::from_utf8(output.stdout).unwrap();
        for expected in [
            "task 1: classes 3 1 4 0 5; task 2: classes 9 2 6 8 7.",
            "task-agnostic",
            "after task 2",
            "average forgetting",
            "Learning one task after another changes",
        ] {
            assert!(table.contains(expected), "{name}: {expected}: {table}");
        }
    }
}

/// Starts a run and kills it as soon as a training has a checkpoint.
fn kill_in(training: &Path, arguments: &[String], more: &[&str]) {
    let mut process = program(&more_than(arguments, more))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("a checkpoint", || checkpointed_epoch(training).is_some());
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_run_that_is_killed_in_any_task_is_resumed_to_the_same_weights() {
    for (name, changes) in [
        ("icarl", &["strategy.exemplars=30"][..]),
        ("ewc", &[]),
        ("lwf", &["strategy.warm_up=1"]),
    ] {
        let [whole, killed] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let changes = [changes, &["seeds=[0]", "student.training.epochs=12"]].concat();
        let arguments = |out: &Path| arguments(name, out, &changes);
        let run = |out: &Path, more: &[&str]| {
            program(&more_than(&arguments(out), more)).output().unwrap()
        };
        assert_success(&run(whole.path(), &[]));

        let student = killed.path().join("seed-0/distilled");
        kill_in(&student.join("task-1"), &arguments(killed.path()), &[]);
        let resume = &["--resume"];
        kill_in(&student.join("task-2"), &arguments(killed.path()), resume);
        assert!(
            !killed.path().join("result.json").exists(),
            "killed too late"
        );
        assert_success(&run(killed.path(), resume));

        let weights = |out: &Path| fs::read(out.join("seed-0/distilled/model.bpk")).unwrap();
        assert_eq!(weights(killed.path()), weights(whole.path()), "{name}");
        let tasks = |out: &Path| result(out)["tasks"].clone();
        assert_eq!(tasks(killed.path()), tasks(whole.path()), "{name}");
    }
}

#[test]
fn tasks_without_samples_are_refused_before_the_training() {
    let out = tempfile::tempdir().unwrap();
    let changes = [
        "data.samples=10",
        "tasks={ count = 10 }",
        "data.validation=0.002",
    ];

    let arguments = arguments("lwf", out.path(), &changes);
    let output = program(&more_than(&arguments, &[])).output().unwrap();

    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("`tasks.classes."), "{stderr}");
}
