//! Files of a training that are damaged, missing or of another training.

use crate::common::digits::*;
use burn::tensor::Device;
use burn_distill_core::{CrossEntropyObjective, NoTeacher};
use burn_distill_strategy::{
    ByEpoch, Curriculum, OfflineDistiller, Quiet, Snapshots, TrainError, Trained, Training,
};
use std::fs;
use std::path::Path;

type Alone = OfflineDistiller<Net, NoTeacher, CrossEntropyObjective>;

fn alone(seed: u64) -> Alone {
    OfflineDistiller::without_teacher(Net::new(3, seed), CrossEntropyObjective::new(1.0))
}

fn train(folder: &Path, epochs: usize, seed: u64) -> Result<Trained<Alone>, TrainError> {
    Training::new(folder, &Device::default(), epochs)
        .with_resume(epochs > 2)
        .with_snapshots([1])
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(alone(seed), &optimizer(), &rate(), loaders())
}

/// Returns damages of a file by name: its contents then, or `None` if it is removed.
fn damages(contents: &[u8], other: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let mut flipped = contents.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    vec![
        ("empty", Some(Vec::new())),
        ("half", Some(contents[..contents.len() / 2].to_vec())),
        (
            "noise",
            Some((0..=255).cycle().take(contents.len()).collect()),
        ),
        ("one bit", Some(flipped)),
        ("of another training", Some(other.to_vec())),
        ("removed", None),
    ]
}

fn put(path: &Path, contents: &Option<Vec<u8>>) {
    match contents {
        Some(contents) => fs::write(path, contents).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn a_resume_reports_every_damaged_file_of_a_checkpoint() {
    let [folder, other] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    train(folder.path(), 2, 1).unwrap();
    train(other.path(), 2, 7).unwrap();
    for name in [
        "checkpoint/model-2.bpk",
        "checkpoint/optimizer-2.bpk",
        "checkpoint/scheduler-2.bpk",
        "history.csv",
    ] {
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        let foreign = fs::read(other.path().join(name)).unwrap();
        for (damage, contents) in damages(&whole, &foreign) {
            // Schedules of equal length have equal files.
            if contents.as_ref() == Some(&whole) {
                continue;
            }
            put(&path, &contents);

            let error = train(folder.path(), 4, 1).err();

            let message = error.map(|error| error.to_string()).unwrap_or_default();
            let file = path.display().to_string();
            assert!(message.contains(&file), "{name}, {damage}: {message}");
            assert!(!message.contains('\n'), "{name}, {damage}: {message}");
        }
        fs::write(&path, &whole).unwrap();
    }
    train(folder.path(), 4, 1).unwrap();
}

#[test]
fn the_error_about_a_missing_file_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2, 1).unwrap();
    let advice = format!("remove the folder {} to train", folder.path().display());
    for part in ["model", "optimizer", "scheduler"] {
        let path = folder.path().join(format!("checkpoint/{part}-2.bpk"));
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();

        let error = train(folder.path(), 4, 1).err().unwrap().to_string();

        let expected = format!("{}: a file of this training is missing", path.display());
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains(&advice), "{error}");
        fs::write(&path, &whole).unwrap();
    }

    let snapshots = Snapshots::of(folder.path()).unwrap();
    fs::remove_file(snapshots.path(1)).unwrap();
    let error = snapshots.load(1, &alone(1)).err().unwrap().to_string();
    assert!(
        error.contains("is missing") && error.contains(&advice),
        "{error}"
    );
}

#[test]
fn partial_files_of_a_killed_training_are_removed() {
    for epochs in [2, 4] {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), 2, 1).unwrap();
        let left = [
            "checkpoint/partial-model-3.bpk.4711-8.tmp",
            "checkpoint/partial-checkpoint.json",
            "snapshots/partial-epoch-1.bpk",
            "partial-history.csv",
        ];
        let others = ["checkpoint/notes.tmp", "partial-notes.txt"];
        for name in left.iter().chain(&others) {
            fs::write(folder.path().join(name), "half").unwrap();
        }

        train(folder.path(), epochs, 1).unwrap();

        for name in left {
            assert!(!folder.path().join(name).exists(), "{epochs}: {name}");
        }
        for name in others {
            assert!(folder.path().join(name).exists(), "{epochs}: {name}");
        }
    }
}

#[test]
fn an_artifact_of_another_training_is_refused() {
    let [folder, other] = [1, 2].map(|seed| {
        let folder = tempfile::tempdir().unwrap();
        let mut curriculum = quiet(folder.path());
        let stage = stage("first", 1);
        curriculum.run(stage, alone(seed), loaders()).unwrap();
        folder
    });
    let file = |folder: &Path| folder.join("first/student.bpk");
    fs::copy(file(other.path()), file(folder.path())).unwrap();
    let load = || {
        fs::write(folder.path().join("partial-curriculum.json"), "half").unwrap();
        let mut curriculum = quiet(folder.path());
        assert!(!folder.path().join("partial-curriculum.json").exists());
        let stage = stage("first", 1);
        curriculum.run(stage, alone(1), loaders()).unwrap();
        curriculum.load("student", &Net::new(3, 1))
    };

    let error = load().err().unwrap().to_string();

    for part in [
        file(folder.path()).display().to_string(),
        "this is not the artifact `student` of the stage `first`".into(),
        format!("remove the folder {} to train", folder.path().display()),
    ] {
        assert!(error.contains(&part), "{part}: {error}");
    }

    // A journal of an earlier version has no checksums.
    let journal = folder.path().join("curriculum.json");
    let text = fs::read_to_string(&journal).unwrap();
    let mut contents: serde_json::Value = serde_json::from_str(&text).unwrap();
    let stage = contents["stages"][0].as_object_mut().unwrap();
    stage.remove("sha256").unwrap();
    fs::write(&journal, contents.to_string()).unwrap();
    load().unwrap();
}

#[test]
fn files_of_a_checkpoint_without_checksums_are_checked_before_burn_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2, 1).unwrap();
    let manifest = folder.path().join("checkpoint/checkpoint.json");
    fs::write(manifest, r#"{ "epoch": 2, "teacher": null }"#).unwrap();
    for part in ["model", "optimizer", "scheduler"] {
        let path = folder.path().join(format!("checkpoint/{part}-2.bpk"));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, "").unwrap();

        let error = train(folder.path(), 4, 1).err().unwrap().to_string();

        assert!(error.contains(&format!("{part}-2.bpk")), "{error}");
        fs::write(&path, &whole).unwrap();
    }
    train(folder.path(), 4, 1).unwrap();
}

#[test]
fn damaged_manifests_and_records_of_a_divergence_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2, 1).unwrap();
    for name in ["checkpoint.json", "diverged.json"] {
        let path = folder.path().join("checkpoint").join(name);
        let whole = fs::read(&path).ok();
        for contents in [&b""[..], b"{", b"\0\x01", b"[]", b"\xff\xfe"] {
            fs::write(&path, contents).unwrap();
            let error = train(folder.path(), 4, 1).err().unwrap().to_string();
            let expected = format!("{}: the file is empty or damaged;", path.display());
            assert!(error.starts_with(&expected), "{error}");
            assert!(
                !error.contains("line 1") && !error.contains('\n'),
                "{error}"
            );
        }
        put(&path, &whole);
    }
}

#[test]
fn damaged_snapshots_and_artifacts_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 2, 1).unwrap();
    let snapshots = Snapshots::of(folder.path()).unwrap();
    let open = || Curriculum::open(folder.path().join("stages"), &Device::default());
    let mut curriculum = open()
        .unwrap()
        .with_renderer(Some(ByEpoch::renderer(Quiet)));
    curriculum
        .run(stage("first", 1), alone(1), loaders())
        .unwrap();
    let artifact = folder.path().join("stages/first/student.bpk");

    for path in [snapshots.path(1), artifact] {
        let whole = fs::read(&path).unwrap();
        for (damage, contents) in damages(&whole, b"{}") {
            if damage == "one bit" {
                continue; // Another weight is as good as this one.
            }
            put(&path, &contents);
            let errors = [
                snapshots.load(1, &alone(1)).err().map(|e| e.to_string()),
                curriculum
                    .load("student", &Net::new(3, 1))
                    .err()
                    .map(|e| e.to_string()),
            ];
            let file = path.display().to_string();
            let mut errors = errors.iter().flatten();
            assert!(errors.any(|error| error.contains(&file)), "{damage} {file}");
        }
        fs::write(&path, &whole).unwrap();
    }

    let journal = folder.path().join("stages/curriculum.json");
    for contents in ["", "{", "\u{0}", "[]"] {
        fs::write(&journal, contents).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("curriculum.json"), "{error}");
    }
}
