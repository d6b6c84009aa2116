//! `burn-distill run` on images without labels, which learns from a given teacher alone.

use crate::common::*;
use burn_distill::data::digits;
use image::GrayImage;
use serde_json::Value;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// Writes digits as PNG files, each into the folder that a function chooses by its class.
fn write_digits(ids: Range<usize>, folder: impl Fn(usize) -> PathBuf) {
    let digits = digits();
    for id in ids {
        let folder = folder(digits.label(id));
        fs::create_dir_all(&folder).unwrap();
        let level = |&level: &u8| (u16::from(level) * 255 / 16) as u8;
        let pixels = digits.pixels(id).iter().map(level).collect();
        let image = GrayImage::from_raw(8, 8, pixels).unwrap();
        image.save(folder.join(format!("{id:05}.png"))).unwrap();
    }
}

/// Trains a teacher on digits, and writes 600 digits without labels beside its run.
fn teacher_and_images() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let changes = [
        "seeds=[0]",
        "teacher.model=mlp-32",
        "teacher.training.epochs=12",
        "student.model=mlp-8",
        "student.training.epochs=1",
    ];
    assert_success(&run(&root.path().join("labeled"), &changes, &[]));
    write_digits(0..600, |_| root.path().join("images"));
    root
}

/// Returns the arguments of a run of the recipe that users edit, in the folder of a teacher.
fn arguments(root: &Path, out: &str, more: &[&str]) -> Vec<String> {
    let recipe =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/own-data/unlabeled.toml");
    let images = format!("data.folder={}", root.join("images").display());
    let weights = root.join("labeled/seed-0/teacher/model.bpk");
    let weights = format!("teacher.weights={}", weights.display());
    let changes = [
        images.as_str(),
        weights.as_str(),
        "data.augmentation={}",
        "teacher.model=mlp-32",
        "student.model=mlp-16",
    ];
    arguments_of(&recipe, &root.join(out), &[&changes, more].concat())
}

fn succeed(arguments: &[String], more: &[&str]) -> [String; 2] {
    let output = program(&more_than(arguments, more)).output().unwrap();
    assert_success(&output);
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
}

fn agreement(result: &Value, network: &str) -> f64 {
    result[network]["agreement"].as_f64().unwrap()
}

#[test]
fn a_student_learns_from_a_teacher_on_images_without_labels() {
    let root = teacher_and_images();
    let whole = arguments(root.path(), "run", &["student.training.patience=30"]);
    let [table, said] = succeed(&whole, &["-v"]);

    assert!(
        said.contains("the data has no labels: the student learns"),
        "{said}"
    );
    assert!(
        said.contains("these weights were trained on other data, digits"),
        "{said}"
    );
    assert!(table.contains("0 of them labeled"), "{table}");
    assert!(
        table.contains("Without labels there is no student (baseline). No test sample"),
        "{table}"
    );
    assert!(!table.contains("NaN"), "{table}");
    let distilled = table
        .lines()
        .find(|line| line.contains("distilled"))
        .unwrap();
    assert!(distilled.contains(" – "), "{table}");

    let found = result(&root.path().join("run"));
    assert_eq!(agreement(&found, "teacher"), 1.0);
    assert!(agreement(&found, "distilled") > 0.8, "{found}");
    for network in ["teacher", "distilled"] {
        assert_eq!(found[network].get("accuracy"), None, "{found}");
    }
    assert_eq!((found.get("baseline"), &found["labels"]), (None, &0.into()));
    assert_eq!(found["samples"], serde_json::json!([405, 45, 150]));
    assert_eq!(found["classes"][9]["name"], "9");
    assert_eq!(found["classes"][9]["samples"], serde_json::json!([0, 0, 0]));
    assert!(!root.path().join("run/seed-0/baseline").exists());
    let history = root.path().join("run/seed-0/distilled/history.csv");
    let history = fs::read_to_string(history).unwrap();
    assert!(history.contains(",valid,Agreement,"), "{history}");
    assert!(!history.contains("Accuracy"), "{history}");

    // The exported student says what is known about it.
    let [out, export] = ["run", "exported"].map(|name| root.path().join(name));
    let [out, export] = [out, export].map(|path| path.display().to_string());
    let output = program(&["export", &out, "--out", &export])
        .output()
        .unwrap();
    assert_success(&output);
    let card = fs::read_to_string(root.path().join("exported/README.md")).unwrap();
    assert!(
        card.contains("| Network | Parameters | Agreement % |"),
        "{card}"
    );
    assert!(
        card.contains("Its accuracy is not known, since its data has no labels"),
        "{card}"
    );
    let eval = program(&["eval", &out, "--data", "digits"])
        .output()
        .unwrap();
    assert_success(&eval);
}

#[test]
fn a_killed_run_without_labels_goes_on_to_the_same_result() {
    let root = teacher_and_images();
    let whole = arguments(root.path(), "whole", &[]);
    succeed(&whole, &[]);
    let killed = arguments(root.path(), "killed", &[]);
    let mut command = program(&more_than(&killed, &[]));
    let mut child = command
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let training = root.path().join("killed/seed-0/distilled");
    wait_until("a checkpoint", || {
        checkpointed_epoch(&training).is_some_and(|epoch| epoch > 2)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!root.path().join("killed/result.json").exists());
    succeed(&killed, &["--resume"]);

    let weights = ["whole", "killed"]
        .map(|run| root.path().join(run).join("seed-0/distilled/model.bpk"))
        .map(|file| fs::read(file).unwrap());
    assert!(weights[0] == weights[1]);
    let [whole, killed] = ["whole", "killed"].map(|run| result(&root.path().join(run)));
    assert_eq!(
        agreement(&whole, "distilled"),
        agreement(&killed, "distilled")
    );
}

#[test]
fn labeled_test_images_give_accuracies_beside_images_without_labels() {
    let root = teacher_and_images();
    write_digits(600..800, |class| root.path().join(format!("test/{class}")));
    let test = format!("data.test_folder={}", root.path().join("test").display());
    let arguments = arguments(root.path(), "run", &[&test]);
    let [table, _] = succeed(&arguments, &[]);

    let found = result(&root.path().join("run"));
    for network in ["teacher", "distilled"] {
        let accuracy = found[network]["accuracy"]["mean"].as_f64().unwrap();
        assert!(accuracy > 0.75, "{found}");
    }
    assert_eq!(found["samples"], serde_json::json!([540, 60, 200]));
    let tested = found["classes"].as_array().unwrap().iter();
    let tested: u64 = tested
        .map(|class| class["samples"][2].as_u64().unwrap())
        .sum();
    assert_eq!((tested, found.get("baseline")), (200, None));
    assert!(
        table.contains("there is no student (baseline). The student predicts"),
        "{table}"
    );
}

#[test]
fn images_without_classes_are_refused_with_the_key_that_allows_them() {
    let root = tempfile::tempdir().unwrap();
    write_digits(0..10, |_| root.path().join("images"));
    let refused = |more: &[&str]| {
        let arguments = arguments(root.path(), "run", more);
        let output = program(&more_than(&arguments, &[])).output().unwrap();
        assert!(!output.status.success() && !root.path().join("run").exists());
        String::from_utf8(output.stderr).unwrap()
    };

    let labeled = refused(&["data.labels=true"]);
    assert!(
        labeled.contains("or set `labels = false` if they have no labels"),
        "{labeled}"
    );
    let missing = refused(&[]);
    assert!(
        missing.contains("`teacher.weights`: the file ") && missing.contains("is not found"),
        "{missing}"
    );
}
