//! `burn-distill run` of recipes whose student sees no sample.

use crate::common::*;
use std::path::Path;
use std::process::{Output, Stdio};

/// Few samples, small networks and few steps.
const SMALL: [&str; 8] = [
    "data.samples=96",
    "teacher.model=convnet-4-8",
    "teacher.training.epochs=2",
    "student.model=convnet-4-6",
    "student.training.epochs=2",
    "student.training.batch_size=16",
    "strategy.pseudo_batches=3",
    "strategy.generator={ latents = 4, width = 4 }",
];

fn arguments(name: &str, out: &Path, changes: &[&str]) -> Vec<String> {
    let changes = [&SMALL[..], changes].concat();
    arguments_of(&recipe(&format!("strategy/{name}")), out, &changes)
}

fn run(name: &str, out: &Path, changes: &[&str], more: &[&str]) -> Output {
    let arguments = arguments(name, out, changes);
    program(&more_than(&arguments, more)).output().unwrap()
}

#[test]
fn a_student_learns_on_images_of_a_generator() {
    for (name, term) in [
        ("zero-shot", "generator disagreement"),
        ("data-free", "generator information-entropy"),
    ] {
        let out = tempfile::tempdir().unwrap();

        assert_success(&run(name, out.path(), &[], &[]));

        let result = result(out.path());
        for network in ["teacher", "baseline", "distilled"] {
            let accuracy = result[network]["accuracy"]["mean"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&accuracy), "{name}: {network}");
        }
        let values = |split, metric: &str| history(out.path(), "distilled", split, metric);
        let term = format!("Loss @ {term}");
        assert_eq!(values("train", &term).len(), 2, "{name}");
        assert!(values("valid", &term).is_empty(), "{name}");
        assert_eq!(values("train", "Agreement").len(), 2, "{name}");
        assert_eq!(values("valid", "Accuracy").len(), 2, "{name}");
        // The images of the generator have no labels.
        assert!(values("train", "Accuracy").is_empty(), "{name}");
    }
}

#[test]
fn the_student_learns_the_same_whatever_the_data_is() {
    let first = tempfile::tempdir().unwrap();
    assert_success(&run("zero-shot", first.path(), &[], &[]));
    let weights = first.path().join("seed-0/teacher/model.bpk");
    let given = format!(
        "teacher={{ model = 'convnet-4-8', weights = '{}' }}",
        weights.display()
    );
    let losses = |changes: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        assert_success(&run("zero-shot", out.path(), changes, &[]));
        let train = history(out.path(), "distilled", "train", "Loss");
        let valid = history(out.path(), "distilled", "valid", "Loss");
        (train, valid)
    };

    let (train, valid) = losses(&[&given]);
    let (others, other_valid) = losses(&[
        &given,
        "data.labels_per_class=2",
        "data.without_class=3",
        "data.augmentation={ crop = 1 }",
    ]);

    assert_eq!(train.len(), 2);
    assert_eq!(train, others);
    assert_eq!(valid, other_valid, "the validation set is the same");
}

#[test]
fn a_killed_run_goes_on_to_the_same_result() {
    let changes = ["student.training.epochs=40"];
    let [whole, killed] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    assert_success(&run("zero-shot", whole.path(), &changes, &[]));

    let arguments = arguments("zero-shot", killed.path(), &changes);
    let mut child = program(&more_than(&arguments, &[]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let training = killed.path().join("seed-0/distilled");
    wait_until("a checkpoint", || {
        checkpointed_epoch(&training).is_some_and(|epoch| epoch > 2)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.path().join("result.json").exists(), "too late");

    assert_success(&run("zero-shot", killed.path(), &changes, &["--resume"]));

    let losses = |out: &Path| history(out, "distilled", "train", "Loss");
    assert_eq!(losses(killed.path()), losses(whole.path()));
    let [whole, killed] = [&whole, &killed].map(|out| result(out.path()));
    assert_eq!(
        whole["distilled"]["accuracy"],
        killed["distilled"]["accuracy"]
    );
}
