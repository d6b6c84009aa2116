//! Every command knows the network, the loss and the data set of this program.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_own-binary");

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_remove("BURN_DEVICE").args(arguments);
    command
}

fn stdout(arguments: &[&str]) -> String {
    let output = program(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn recipe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rings.toml")
}

/// Runs the recipe of the example with changes, and more arguments.
fn run(out: &Path, changes: &[&str], more: &[&str]) -> Command {
    let mut command = program(&["run"]);
    command.arg(recipe()).arg("--out").arg(out);
    let short = [
        "seeds=[0]",
        "teacher.training.epochs=3",
        "student.training.epochs=2",
    ];
    for change in short.iter().chain(changes) {
        command.args(["--set", change]);
    }
    command.args(more);
    command
}

fn error(changes: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = run(&out.path().join("run"), changes, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn result(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("result.json")).unwrap()).unwrap()
}

#[test]
fn lists_show_the_additions_of_the_program() {
    for (what, own, standard) in [
        ("models", "perceptron", "resnet20"),
        ("losses", "direction", "soft-target"),
        ("datasets", "rings", "digits"),
    ] {
        let list: Value = serde_json::from_str(&stdout(&["list", what, "--json"])).unwrap();
        let names: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["name"])
            .collect();
        assert!(names.contains(&&own.into()), "{what}: {names:?}");
        assert!(names.contains(&&standard.into()), "{what}: {names:?}");
        assert!(stdout(&["list", what]).contains(own));
    }
}

#[test]
fn the_network_is_inspected_for_the_inputs_that_it_takes() {
    let arguments = ["inspect", "perceptron", "--input", "2", "--classes", "2"];

    let text = stdout(&arguments);
    assert!(
        text.starts_with("perceptron for vectors of 2 features and 2 classes"),
        "{text}"
    );
    assert!(text.contains("hidden"), "{text}");
    let json = [&arguments[..], &["--json"]].concat();
    let inspection: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(inspection["parameters"], 42);
    assert_eq!(inspection["input"], serde_json::json!([2]));

    assert_eq!(inspection["multiply_adds"], Value::Null);
    assert!(text.contains("unknown for a custom network"), "{text}");
    let wide = stdout(&[&arguments[..], &["--set", "width=64"]].concat());
    assert!(
        wide.starts_with("perceptron (width 64) for vectors"),
        "{wide}"
    );
    assert!(wide.contains("322"), "{wide}");
    let wrong = [&arguments[..], &["--set", "widht=64"]].concat();
    let error = said(&program(&wrong).output().unwrap());
    assert!(
        error.contains("unknown key `widht`, did you mean `width`?"),
        "{error}"
    );

    let images = program(&["inspect", "perceptron"]).output().unwrap();
    let error = said(&images);
    assert!(
        error.contains("the network takes vectors, but the data is images of 3x32x32"),
        "{error}"
    );
}

#[test]
fn errors_know_the_names_of_the_program() {
    for (change, parts) in [
        (
            "student.model=perceptrn",
            &[
                "`student.model`: no network named `perceptrn`",
                "`perceptron`?",
            ][..],
        ),
        (
            "data.name=rigns",
            &["`data.name`: no data set named `rigns`", "`rings`?"],
        ),
        (
            "loss.1.kind=directon",
            &["there is no loss `directon`", "`direction`?"],
        ),
        (
            "loss.1.power=2",
            &[
                "unknown key `loss.1.power`",
                "the known ones are kind, name, weight",
            ],
        ),
        (
            "student.model={ name = 'perceptron', widht = 4 }",
            &["unknown key `student.model.widht`", "`width`?"],
        ),
        (
            "teacher.model.width='wide'",
            &["`teacher.model.width` should be a whole number from 0"],
        ),
        (
            "teacher.model.width=0",
            &[
                "`teacher.model.width` should be larger: the network would have no parameters, but is 0",
            ],
        ),
        (
            "teacher.model.width=1000000000000",
            &[
                "`teacher.model.width` should be smaller: it needs about 64.0 TB",
                "but is 1000000000000",
            ],
        ),
        (
            "student.model={ name = 'perceptron', width = 9223372036854775807 }",
            &["`student.model.width` should be smaller: it needs about "],
        ),
        (
            "data.augmentation.flip=true",
            &["data.augmentation: only images", "vectors of 2 features"],
        ),
    ] {
        let error = error(&[change]);
        for part in parts {
            assert!(error.contains(part), "{change}: {error}");
        }
    }
}

#[test]
fn inputs_of_another_kind_are_refused_before_any_training() {
    for (change, message) in [
        (
            "student.model=convnet-8",
            "student.model: the network takes images, but the data is vectors of 2 features",
        ),
        (
            "data.name=digits",
            "student.model: the network takes vectors, but the data is images of 1x8x8",
        ),
    ] {
        let error = error(&[change]);
        assert!(error.contains(message), "{change}: {error}");
    }
}

#[test]
fn a_recipe_of_own_names_runs() {
    let out = tempfile::tempdir().unwrap();
    let output = run(out.path(), &[], &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let result = result(out.path());
    assert_eq!(result["recipe"]["student"]["model"], "perceptron");
    assert_eq!(result["recipe"]["teacher"]["model"]["width"], 64);
    assert_eq!(result["baseline"]["parameters"], 42);
    assert_eq!(result["samples"][2], 150);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("perceptron (width 64)"), "{table}");
}

#[test]
fn strategies_without_a_teacher_know_the_network_too() {
    for strategy in ["mutual", "ps-kd", "cs-kd", "dlb", "ema"] {
        let out = tempfile::tempdir().unwrap();
        let recipe = fs::read_to_string(recipe()).unwrap();
        let (head, rest) = recipe.split_once("[teacher]").unwrap();
        let (_, student) = rest.split_once("[student]").unwrap();
        let (student, _) = student.split_once("[[loss]]").unwrap();
        let file = out.path().join("strategy.toml");
        let text = format!("{head}\n[strategy]\nkind = '{strategy}'\n[student]{student}");
        fs::write(&file, text).unwrap();

        let mut command = program(&[
            "run",
            "--seed",
            "0",
            "--set",
            "student.training.epochs=1",
            "--out",
        ]);
        let output = command.arg(out.path().join("run")).arg(&file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{strategy}: {}", said(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_goes_on_to_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let long = ["teacher.training.epochs=300"];
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    assert!(run(&whole, &long, &[]).status().unwrap().success());

    let child = run(&stopped, &long, &[])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let checkpoint = stopped.join("seed-0/teacher/checkpoint/checkpoint.json");
    let start = Instant::now();
    while !checkpoint.exists() {
        assert!(start.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(2));
    }
    let process = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &process]).status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let message = said(&output);
    assert!(
        message.contains("stopped; resume with: own-binary run "),
        "{message}"
    );

    assert!(
        run(&stopped, &long, &["--resume"])
            .status()
            .unwrap()
            .success()
    );
    let accuracy = |out: &Path| {
        let result = result(out);
        ["teacher", "baseline", "distilled"].map(|network| result[network]["accuracy"].clone())
    };
    assert_eq!(accuracy(&stopped), accuracy(&whole));
    let weights = |out: &Path| fs::read(out.join("seed-0/distilled/model.bpk")).unwrap();
    assert_eq!(weights(&stopped), weights(&whole));
}
