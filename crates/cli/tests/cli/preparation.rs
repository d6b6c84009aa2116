//! Losses that need more than a loss: something trained before, or a student of another kind.

use crate::common::*;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn changes(losses: &str) -> Vec<String> {
    let losses = format!("loss=[{losses}]");
    let changes = SHORT.iter().map(|change| change.to_string());
    changes.chain([losses]).collect()
}

fn run_with(out: &Path, losses: &str, more: &[&str]) -> Value {
    let changes = changes(losses);
    let changes: Vec<_> = changes.iter().map(String::as_str).collect();
    assert_success(&run(out, &changes, more));
    result(out)
}

fn assert_same_result(a: &Value, b: &Value) {
    for metric in ["accuracy", "agreement", "parameters"] {
        assert_eq!(a["distilled"][metric], b["distilled"][metric], "{metric}");
    }
}

#[test]
fn a_killed_preparation_goes_on_to_the_same_result() {
    let losses = "{kind='hard'},{kind='factor-transfer',paraphraser_epochs=40}";
    let [whole, killed] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let expected = run_with(whole.path(), losses, &[]);

    let changes = changes(losses);
    let changes: Vec<_> = changes.iter().map(String::as_str).collect();
    let arguments = run_arguments(killed.path(), &changes);
    let arguments = more_than(&arguments, &[]);
    let mut child = program(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let preparation = killed.path().join("seed-0/prepared/factor-transfer");
    wait_until("a checkpoint", || {
        checkpointed_epoch(&preparation).is_some_and(|epoch| epoch > 2)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let epoch = checkpointed_epoch(&preparation).unwrap();
    assert!(epoch < 40, "killed too late to show anything");

    assert_same_result(&run_with(killed.path(), losses, &["--resume"]), &expected);

    // And once more, without the student: what is prepared is there.
    let weights = preparation.join("model.bpk");
    let before = fs::metadata(&weights).unwrap().modified().unwrap();
    fs::remove_dir_all(killed.path().join("seed-0/distilled")).unwrap();
    assert_same_result(&run_with(killed.path(), losses, &["--resume"]), &expected);
    assert_eq!(fs::metadata(&weights).unwrap().modified().unwrap(), before);
}

#[test]
fn the_prepared_part_is_used_in_the_training() {
    let history = |epochs: usize| {
        let out = tempfile::tempdir().unwrap();
        let losses = format!("{{kind='factor-transfer',paraphraser_epochs={epochs}}}");
        run_with(out.path(), &losses, &[]);
        fs::read_to_string(out.path().join("seed-0/distilled/history.csv")).unwrap()
    };

    assert_ne!(history(1), history(2));
}

#[test]
fn a_student_with_its_teachers_classifier_is_saved_and_loaded_whole() {
    let out = tempfile::tempdir().unwrap();
    let result = run_with(out.path(), "{kind='sim-kd'}", &[]);

    // The student, the projector with its norms, and the classifier of the teacher.
    let student = 8 * 65 + 10 * 9;
    let projector = 8 * 16 + 9 * 16 * 16 + 16 * 32 + 2 * (16 + 16 + 32);
    let parameters = &result["distilled"]["parameters"];
    assert_eq!(*parameters, student + projector + 33 * 10);
    assert_eq!(result["baseline"]["parameters"], student);
    assert!(result["distilled"]["accuracy"]["mean"].as_f64().unwrap() > 0.3);

    let again = run_with(out.path(), "{kind='sim-kd'}", &["--resume"]);
    assert_same_result(&again, &result);
}

#[test]
fn a_student_of_normalized_features_is_saved_as_it_is() {
    let [first, second] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let losses = "{kind='hard'},{kind='feature-normalization'}";
    let result = run_with(first.path(), losses, &[]);

    assert_eq!(result["distilled"]["parameters"], 8 * 65 + 10 * 9);
    // It can teach under its own name.
    let weights = first.path().join("seed-0/distilled/model.bpk");
    let weights = format!("teacher.weights={}", weights.display());
    let changes = [&SHORT[..], &["teacher.model=mlp-8", &weights]].concat();
    assert_success(&run(second.path(), &changes, &[]));
    let distilled = crate::common::result(second.path());
    assert_eq!(
        distilled["teacher"]["accuracy"],
        result["distilled"]["accuracy"]
    );
}
