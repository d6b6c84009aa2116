//! `burn-distill run` of recipes whose student is distilled in stages, or along a route.

use crate::common::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Small networks and few epochs.
const SMALL: [&str; 4] = [
    "teacher.model=convnet-8-16",
    "teacher.training.epochs=4",
    "student.model=convnet-4-8",
    "student.training.epochs=4",
];

fn two_stages<'a>(hints: &'a str, distillation: &'a str) -> Vec<&'a str> {
    [&SMALL[..], &[hints, distillation]].concat()
}

fn arguments(name: &str, out: &Path, changes: &[&str]) -> Vec<String> {
    arguments_of(&recipe(&format!("strategy/{name}")), out, changes)
}

fn run(name: &str, out: &Path, changes: &[&str], more: &[&str]) -> std::process::Output {
    let arguments = arguments(name, out, changes);
    program(&more_than(&arguments, more)).output().unwrap()
}

fn journal(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("seed-0/distilled/curriculum.json")).unwrap();
    let journal: Value = serde_json::from_str(&text).unwrap();
    journal["stages"].as_array().unwrap().clone()
}

fn names(stages: &[Value]) -> Vec<&str> {
    stages
        .iter()
        .map(|stage| stage["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_student_is_initialized_by_its_features_and_taught_by_the_labels() {
    for (name, first) in [
        ("two-stage-flow", "flow"),
        ("two-stage-boundaries", "boundaries"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let changes = two_stages("stage.0.epochs=1", "stage.1.epochs=3");

        assert_success(&run(name, out.path(), &changes, &[]));

        assert_eq!(names(&journal(out.path())), [first, "labels"]);
    }
}

#[test]
fn stages_are_reported_one_by_one() {
    let out = tempfile::tempdir().unwrap();
    let changes = two_stages("stage.0.epochs=1", "stage.1.epochs=3");

    let changes = [&changes[..], &["seeds=[0, 4]"]].concat();
    let output = run(
        "two-stage-hints",
        out.path(),
        &changes,
        &["--progress", "lines"],
    );

    assert_success(&output);
    let (table, progress) = (output.stdout, output.stderr);
    let table = String::from_utf8(table).unwrap();
    let rows: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .collect();
    assert!(
        rows.iter().any(|row| row.starts_with(&["hints", "1"])),
        "{table}"
    );
    assert!(
        rows.iter()
            .any(|row| row.starts_with(&["distillation", "3"])),
        "{table}"
    );
    let progress = String::from_utf8(progress).unwrap();
    for label in [
        "seed 0 distilled, hints  epoch 1/1",
        "seed 4 distilled, distillation  epoch 3/3",
    ] {
        assert!(progress.contains(label), "{label}: {progress}");
    }

    let result = result(out.path());
    let stages = result["stages"].as_array().unwrap();
    assert_eq!(names(stages), ["hints", "distillation"]);
    assert_eq!(stages[1]["epochs"], serde_json::json!([3, 3]));
    assert_eq!(stages[1]["seeds"], serde_json::json!([0, 4]));
    let accuracy = &stages[1]["validation_accuracy"];
    assert!(
        (0.2..=1.0).contains(&accuracy["mean"].as_f64().unwrap()),
        "{accuracy}"
    );
    let seconds: f64 = stages
        .iter()
        .map(|s| s["seconds"][0].as_f64().unwrap())
        .sum();
    let total = result["distilled"]["seconds"][0].as_f64().unwrap();
    assert!(seconds > 0.0 && (seconds - total).abs() < 1e-9);
}

#[test]
fn a_run_that_was_killed_in_a_stage_goes_on_to_the_same_result() {
    let [whole, killed] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let changes = two_stages("stage.0.epochs=2", "stage.1.epochs=40");
    assert_success(&run("two-stage-hints", whole.path(), &changes, &[]));

    let arguments = arguments("two-stage-hints", killed.path(), &changes);
    let mut child = program(&more_than(&arguments, &[]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let training = killed.path().join("seed-0/distilled/distillation");
    wait_until("a checkpoint of the second stage", || {
        checkpointed_epoch(&training).is_some_and(|epoch| epoch > 1)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        checkpointed_epoch(&training).unwrap() < 40,
        "killed too late to show anything"
    );
    let hints = killed.path().join("seed-0/distilled/hints/student.bpk");
    let before = fs::metadata(&hints).unwrap().modified().unwrap();

    assert_success(&run(
        "two-stage-hints",
        killed.path(),
        &changes,
        &["--resume"],
    ));

    assert_eq!(fs::metadata(&hints).unwrap().modified().unwrap(), before);
    let weights = |out: &Path| fs::read(out.join("seed-0/distilled/model.bpk")).unwrap();
    assert!(weights(whole.path()) == weights(killed.path()));
    let [whole, killed] = [whole, killed].map(|out| result(out.path()));
    for key in ["accuracy", "agreement"] {
        assert_eq!(whole["distilled"][key], killed["distilled"][key], "{key}");
    }
    for (a, b) in [(&whole, &killed)].map(|(a, b)| (&a["stages"], &b["stages"])) {
        for stage in 0..2 {
            assert_eq!(
                a[stage]["validation_accuracy"],
                b[stage]["validation_accuracy"]
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_was_stopped_in_a_stage_prints_the_command_to_resume_it() {
    let out = tempfile::tempdir().unwrap();
    // Far more epochs than there is time for.
    let changes = two_stages("stage.0.epochs=1", "stage.1.epochs=100000");
    let arguments = arguments("two-stage-hints", out.path(), &changes);
    let mut command = program(&more_than(&arguments, &["--progress", "none"]));
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let training = out.path().join("seed-0/distilled/distillation");
    wait_until("a checkpoint of the second stage", || {
        checkpointed_epoch(&training).is_some_and(|epoch| epoch > 1)
    });

    let pid = child.id().to_string();
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();

    assert_eq!(output.status.code(), Some(130));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("stopped; resume with: burn-distill run"),
        "{message}"
    );
    let stages = journal(out.path());
    assert_eq!(names(&stages), ["hints", "distillation"]);
    assert_eq!(
        (&stages[0]["finished"], &stages[1]["finished"]),
        (&true.into(), &false.into())
    );
    assert_eq!(stages[1]["epochs"].as_u64(), checkpointed_epoch(&training));
}

#[test]
fn a_loss_continues_with_the_parameters_of_the_loss_of_its_name() {
    let out = tempfile::tempdir().unwrap();
    let stages = "stage=[\
        { name = 'warm', epochs = 1, trains = 'objective', \
          loss = [{ kind = 'learned-temperature', name = 'kd' }] },\
        { name = 'kd', epochs = 1, loss = [\
          { kind = 'hard' }, { kind = 'learned-temperature', name = 'kd' }] }]";
    let changes = [&SMALL[..], &[stages]].concat();

    assert_success(&run("two-stage-hints", out.path(), &changes, &[]));

    let stages = journal(out.path());
    assert_eq!(stages[0]["artifacts"], serde_json::json!(["loss-kd"]));
    assert_eq!(
        stages[1]["artifacts"],
        serde_json::json!(["student", "loss-kd"])
    );
    // The temperature of the first stage is where the second one starts, so it has to be there.
    let file = out.path().join("seed-0/distilled/warm/loss-kd.bpk");
    fs::remove_file(file).unwrap();
    let again = run("two-stage-hints", out.path(), &changes, &["--resume"]);
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{error}");
    assert!(
        error.contains("warm/loss-kd.bpk: the artifact `loss-kd` of the stage `warm` is missing"),
        "{error}"
    );
}

#[test]
fn a_stage_or_a_route_has_the_views_that_its_losses_require() {
    let [stages, route] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let changes = [
        "data.augmentation={ crop = 1 }",
        "teacher.training.epochs=1",
        "student.training.epochs=1",
    ];
    let staged = ["stage=[\
            { name = 'one', epochs = 1, loss = [{ kind = 'kd' }] },\
            { name = 'two', epochs = 1, loss = [\
              { kind = 'hard' }, { kind = 'kd', views = 2 }] }]"];
    let staged = [&SMALL[..], &changes, &staged].concat();
    assert_success(&run("two-stage-hints", stages.path(), &staged, &[]));

    let routed = ["route.anchors=1", "loss=[{ kind = 'kd', views = 2 }]"];
    let routed = [&SMALL[..], &changes, &routed].concat();
    assert_success(&run("route-constrained", route.path(), &routed, &[]));
}

#[test]
fn a_route_leads_from_early_anchors_to_the_converged_teacher() {
    let [interval, hardness] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    assert_success(&run("route-constrained", interval.path(), &SMALL, &[]));

    let result_by_interval = result(interval.path());
    let stages = result_by_interval["stages"].as_array().unwrap();
    assert_eq!(
        names(stages),
        ["anchor-1", "anchor-2", "anchor-3", "anchor-4"]
    );
    let snapshots = interval.path().join("seed-0/teacher/snapshots");
    assert_eq!(fs::read_dir(snapshots).unwrap().count(), 4);

    // Every anchor is bearable: straight to the last one, for all epochs that are left.
    let changes = [&SMALL[..], &["route.by=hardness", "route.ratio=1e9"]].concat();
    assert_success(&run("route-constrained", hardness.path(), &changes, &[]));
    let result = result(hardness.path());
    let stages = result["stages"].as_array().unwrap();
    assert_eq!(names(stages), ["anchor-1", "anchor-4"]);
    assert_eq!(stages[1]["epochs"], serde_json::json!([3]));
}

#[test]
fn a_route_of_one_anchor_is_plain_distillation() {
    let [route, plain] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let one = [&SMALL[..], &["route.anchors=1"]].concat();
    assert_success(&run("route-constrained", route.path(), &one, &[]));

    // The same recipe without its route.
    let text = fs::read_to_string(recipe("strategy/route-constrained")).unwrap();
    let (before, after) = text.split_once("[route]").unwrap();
    let losses = &after[after.find("[[loss]]").unwrap()..];
    let file = plain.path().join("plain.toml");
    fs::write(&file, format!("{before}{losses}")).unwrap();
    let out = plain.path().join("out");
    let arguments = arguments_of(&file, &out, &SMALL);
    assert_success(&program(&more_than(&arguments, &[])).output().unwrap());

    let [route, plain] = [result(route.path()), result(&out)];
    assert!(plain.get("stages").is_none());
    for network in ["teacher", "baseline", "distilled"] {
        for key in ["accuracy", "agreement"] {
            assert_eq!(route[network][key], plain[network][key], "{network} {key}");
        }
    }
}

#[test]
fn a_stage_prepares_its_losses_and_the_last_may_change_the_student() {
    let out = tempfile::tempdir().unwrap();
    let stages = "stage=[\
        { name = 'factors', epochs = 1, loss = [{ kind = 'factor-transfer', paraphraser_epochs = 1 }] }, \
        { name = 'both', epochs = 1, \
          loss = [{ kind = 'hard' }, { kind = 'factor-transfer', paraphraser_epochs = 1 }] }, \
        { name = 'classifier', epochs = 1, loss = [{ kind = 'sim-kd' }] }]";
    let changes = [&SMALL[..], &[stages]].concat();
    assert_success(&run("two-stage-hints", out.path(), &changes, &[]));
    let first = result(out.path());

    let stages = journal(out.path());
    assert_eq!(names(&stages), ["factors", "both", "classifier"]);
    let prepared = out.path().join("seed-0/prepared/factor-transfer/model.bpk");
    let trained = fs::metadata(&prepared).unwrap().modified().unwrap();
    // The student has its projector and the classifier of its teacher.
    let parameters = |who: &str| first[who]["parameters"].as_u64().unwrap();
    assert!(parameters("distilled") > parameters("baseline"));

    // The last stage once more, from what the others have left.
    let last = out.path().join("seed-0/distilled/curriculum.json");
    let text = fs::read_to_string(&last).unwrap();
    let mut kept: Value = serde_json::from_str(&text).unwrap();
    kept["stages"].as_array_mut().unwrap().pop();
    fs::write(&last, kept.to_string()).unwrap();
    assert_success(&run("two-stage-hints", out.path(), &changes, &["--resume"]));
    let second = result(out.path());
    assert_eq!(
        first["distilled"]["accuracy"],
        second["distilled"]["accuracy"]
    );
    let again = fs::metadata(&prepared).unwrap().modified().unwrap();
    assert_eq!(again, trained);
}
