//! Losses that need something trained before.

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
    for figure in ["accuracy", "agreement", "parameters"] {
        assert_eq!(a["distilled"][figure], b["distilled"][figure], "{figure}");
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
    let preparation = killed.path().join("seed-0/prepared/2-paraphraser");
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
fn what_is_prepared_is_what_teaches() {
    let history = |epochs: usize| {
        let out = tempfile::tempdir().unwrap();
        let losses = format!("{{kind='factor-transfer',paraphraser_epochs={epochs}}}");
        run_with(out.path(), &losses, &[]);
        fs::read_to_string(out.path().join("seed-0/distilled/history.csv")).unwrap()
    };

    assert_ne!(history(1), history(2));
}
