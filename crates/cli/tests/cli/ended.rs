//! `burn-distill run --resume` of trainings that have ended, and of files that are damaged.

use crate::common::*;
use std::fs;
use std::path::Path;

/// Removes what a run that is killed after the last checkpoint of the student has not written.
fn forget_the_end(out: &Path) {
    for file in [
        "result.json",
        "seed-0/distilled/model.bpk",
        "seed-0/distilled/training.json",
    ] {
        fs::remove_file(out.join(file)).unwrap();
    }
}

#[test]
fn a_student_that_patience_has_ended_is_not_trained_further() {
    let out = tempfile::tempdir().unwrap();
    let patience = ["student.training.epochs=200", "student.training.patience=2"];
    let changes = [&SHORT[..4], &patience].concat();
    assert_success(&run(out.path(), &changes, &[]));
    let training = out.path().join("seed-0/distilled");
    let epoch = checkpointed_epoch(&training);
    assert!(epoch < Some(200), "{epoch:?}");
    let before = fs::read(training.join("model.bpk")).unwrap();
    let history = fs::read(training.join("history.csv")).unwrap();
    forget_the_end(out.path());

    assert_success(&run(out.path(), &changes, &["--resume"]));

    assert_eq!(checkpointed_epoch(&training), epoch);
    assert!(
        fs::read(training.join("model.bpk")).unwrap() == before,
        "the same weights"
    );
    assert_eq!(fs::read(training.join("history.csv")).unwrap(), history);
}

#[test]
fn a_damaged_file_of_a_checkpoint_is_named() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run(out.path(), &SHORT, &[]));
    forget_the_end(out.path());
    let training = out.path().join("seed-0/distilled");
    for name in [
        "checkpoint/model-3.bpk",
        "checkpoint/optimizer-3.bpk",
        "checkpoint/scheduler-3.bpk",
        "checkpoint/checkpoint.json",
        "history.csv",
        "training.json",
    ] {
        let path = training.join(name);
        let whole = fs::read(&path).ok();
        let damages: [&[u8]; 3] = [b"", b"\xff\xfe noise", b"{"];
        for damage in damages {
            fs::write(&path, damage).unwrap();

            let output = run(out.path(), &SHORT, &["--resume"]);

            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
            assert!(!stderr.contains("panicked"), "{name}: {stderr}");
            let error = stderr.lines().find(|line| line.starts_with("error: "));
            assert!(error.is_some_and(|error| error.contains(name)), "{stderr}");
        }
        match whole {
            Some(whole) => fs::write(&path, whole).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    assert_success(&run(out.path(), &SHORT, &["--resume"]));
}

#[test]
fn metrics_of_several_networks_say_whose_they_are() {
    let small = [
        "data.samples=96",
        "student.model=convnet-4-4-6",
        "student.training.epochs=1",
        "student.training.batch_size=32",
    ];
    for (name, shown) in [
        ("mutual", "peer 2 accuracy"),
        ("native-ensemble", "branch 2 accuracy"),
        ("group-leader", "peer 1 accuracy"),
        ("byot", "exit 1 accuracy"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let recipe = recipe(&format!("strategy/{name}"));
        let arguments = arguments_of(&recipe, out.path(), &small);

        let output = program(&more_than(&arguments, &["--progress", "lines"]))
            .output()
            .unwrap();

        assert_success(&output);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&format!(" {shown} ")), "{stderr}");
        assert!(stderr.contains(" ensemble accuracy "), "{stderr}");
    }
}
