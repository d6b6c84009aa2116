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

/// The error of a run that is gone on with.
fn refused(arguments: &[String]) -> String {
    let output = program(&more_than(arguments, &["--resume"])).output();
    let output = output.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let error = stderr.lines().find(|line| line.starts_with("error: "));
    error.expect(&stderr).to_string()
}

#[test]
fn weights_of_another_training_are_not_taken_for_those_of_a_finished_one() {
    let small = ["data.samples=96", "student.training.epochs=1"];
    let changes = [&["student.model=mlp-8"], &small[..]].concat();
    let out = tempfile::tempdir().unwrap();
    let arguments = arguments_of(&recipe("strategy/mutual"), out.path(), &changes);
    assert_success(&program(&more_than(&arguments, &[])).output().unwrap());
    let expected = result(out.path());
    let seed = out.path().join("seed-0");
    let peer = fs::read_dir(seed.join("distilled")).unwrap();
    let mut peer = peer.map(|entry| entry.unwrap().path());
    let is_peer = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|end| end == "bpk") && !path.ends_with("model.bpk")
    };
    let peer = peer.find(is_peer).expect("the second peer has a file");
    let another = fs::read(seed.join("distilled/model.bpk")).unwrap();

    for path in [seed.join("baseline/model.bpk"), peer] {
        let whole = fs::read(&path).unwrap();
        assert_ne!(whole, another);
        fs::write(&path, &another).unwrap();
        fs::remove_file(out.path().join("result.json")).unwrap();

        let error = refused(&arguments);

        let folder = path.parent().unwrap().display();
        let what = format!("{}: these are not the weights", path.display());
        let remedy = format!("remove the folder {folder} and continue with --resume");
        assert!(error.contains(&what) && error.contains(&remedy), "{error}");
        assert!(!out.path().join("result.json").exists());
        fs::write(&path, whole).unwrap();
        let again = program(&more_than(&arguments, &["--resume"])).output();
        assert_success(&again.unwrap());
    }

    // The remedy is one. A record of an earlier version, which knows no checksums, is still read.
    fs::remove_dir_all(seed.join("baseline")).unwrap();
    let record = seed.join("distilled/training.json");
    fs::write(record, r#"{ "finished": true, "seconds": 1.0 }"#).unwrap();
    let again = program(&more_than(&arguments, &["--resume"])).output();
    assert_success(&again.unwrap());
    for network in ["baseline", "distilled"] {
        let accuracy = &result(out.path())[network]["accuracy"];
        assert_eq!(accuracy, &expected[network]["accuracy"]);
    }
}

#[test]
fn missing_files_of_a_training_are_named_once_with_a_remedy() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run(out.path(), &SHORT, &[]));
    let arguments = run_arguments(out.path(), &SHORT);
    let folder = out.path().join("seed-0/distilled");
    let weights = folder.join("model.bpk");
    let before = fs::read(&weights).unwrap();

    fs::remove_file(&weights).unwrap();
    let error = refused(&arguments);
    let record = folder.join("training.json");
    let remedy = format!("remove {} and continue with --resume", record.display());
    assert!(error.contains("distilled/model.bpk: "), "{error}");
    assert!(error.contains(&remedy), "{error}");
    fs::remove_file(record).unwrap();
    assert_success(&run(out.path(), &SHORT, &["--resume"]));
    assert_eq!(fs::read(&weights).unwrap(), before);

    forget_the_end(out.path());
    for part in ["model", "optimizer", "scheduler"] {
        fs::remove_file(folder.join(format!("checkpoint/{part}-3.bpk"))).unwrap();
    }
    let error = refused(&arguments);
    assert_eq!(error.matches("model-3.bpk").count(), 1, "{error}");
    assert_eq!(error.matches("is missing").count(), 1, "{error}");
    assert!(!error.contains("os error"), "{error}");
    let remedy = format!("remove the folder {}", folder.display());
    assert!(error.contains(&remedy), "{error}");
    fs::remove_dir_all(&folder).unwrap();
    assert_success(&run(out.path(), &SHORT, &["--resume"]));
    assert_eq!(fs::read(&weights).unwrap(), before);
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
