//! Files of weights: what they record, which are refused, and that equal runs leave equal ones.

use crate::common::*;
use burn::store::ModuleRecord;
use burn_distill::strategy::WeightsFile;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The quickstart with a transformer of one epoch.
const TRANSFORMER: [&str; 5] = [
    "seeds=[0]",
    "teacher.model=vit-16-4-4",
    "teacher.training.epochs=1",
    "student.model=mlp-8",
    "student.training.epochs=1",
];

/// A run of the quickstart that trains a teacher, which others may load.
fn teacher(changes: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run(out.path(), changes, &[]));
    let weights = out.path().join("seed-0/teacher/model.bpk");
    (out, weights)
}

fn with_weights(out: &Path, changes: &[&str], weights: &Path) -> Output {
    let weights = format!("teacher.weights={}", weights.display());
    run(out, &[changes, &[weights.as_str()]].concat(), &[])
}

/// Returns the error of a run that refuses weights, before it leaves anything.
fn refusal(changes: &[&str], weights: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = with_weights(&out, changes, weights);

    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{stderr}");
    assert!(!out.exists(), "{stderr}");
    assert!(stderr.contains("teacher.weights"), "{stderr}");
    stderr
}

#[test]
fn weights_of_another_network_of_equal_shapes_are_refused() {
    let (_run, weights) = teacher(&TRANSFORMER);

    let changes = [&TRANSFORMER[..], &["teacher.model=vit-16-4-1"]].concat();
    let message = refusal(&changes, &weights);
    assert!(
        message.contains("these weights are of a vit-16-4-4, not of a vit-16-4-1"),
        "{message}"
    );
}

#[test]
fn a_student_that_its_loss_has_extended_is_refused() {
    let out = extended_student();
    let extended = out.path().join("seed-0/distilled/model.bpk");

    let changes = [
        &EXTENDED[..],
        &["teacher.model=convnet-4-6", "loss=[{ kind = 'kd' }]"],
    ]
    .concat();
    let message = refusal(&changes, &extended);
    assert!(
        message.contains("holds a network under `student`"),
        "{message}"
    );
    assert!(
        message.contains("a student that its loss has extended"),
        "{message}"
    );
}

#[test]
fn a_teacher_that_was_trained_on_test_samples_is_refused() {
    let (_run, weights) = teacher(&SHORT);

    for other in ["data.split_seed=1", "data.test=0.5"] {
        let message = refusal(&[&SHORT[..], &[other]].concat(), &weights);
        assert!(
            message.contains("of the test samples of this run"),
            "{message}"
        );
        assert!(
            message.contains("`data.split_seed = 0`, `data.test = 0.3`"),
            "{message}"
        );
    }
    // Of one seed, a smaller test set lies within a larger one.
    let out = tempfile::tempdir().unwrap();
    let fewer = [&SHORT[..], &["data.test=0.2"]].concat();
    let output = with_weights(out.path(), &fewer, &weights);
    assert_success(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("warning: teacher.weights"), "{stderr}");
}

#[test]
fn weights_without_a_record_of_their_origin_are_taken_with_a_warning() {
    let (run, weights) = teacher(&SHORT);
    let plain = run.path().join("plain.bpk");
    ModuleRecord::load(&weights).unwrap().save(&plain).unwrap();

    let out = tempfile::tempdir().unwrap();
    let output = with_weights(out.path(), &SHORT, &plain);

    assert_success(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = "the file has no record of the origin of its weights";
    assert_eq!(stderr.matches(expected).count(), 1, "{stderr}");
    let [first, second] = [run.path(), out.path()].map(result);
    assert_eq!(first["teacher"]["accuracy"], second["teacher"]["accuracy"]);
}

#[test]
fn a_file_that_is_no_teacher_is_refused_in_a_sentence() {
    let (run, weights) = teacher(&SHORT);

    let missing = refusal(&SHORT, &run.path().join("no-such.bpk"));
    assert!(missing.contains("no-such.bpk is not found"), "{missing}");
    let folder = refusal(&SHORT, run.path());
    assert!(folder.contains("is a folder"), "{folder}");
    let recipe = refusal(&SHORT, &run.path().join("recipe.toml"));
    assert!(
        recipe.contains("its first bytes are of another format"),
        "{recipe}"
    );

    let checkpoints = run.path().join("seed-0/teacher/checkpoint");
    let checkpoint = fs::read_dir(checkpoints)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_model = |path: &PathBuf| path.to_string_lossy().contains("model-");
    let checkpoint = checkpoint.into_iter().find(is_model).unwrap();
    let checkpoint = refusal(&SHORT, &checkpoint);
    assert!(
        checkpoint.contains("holds a network under `student`"),
        "{checkpoint}"
    );
    assert!(!checkpoint.contains("Missing tensors"), "{checkpoint}");

    let mut damaged = fs::read(&weights).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&weights, damaged).unwrap();
    let damaged = refusal(&SHORT, &weights);
    assert!(damaged.contains("the file is damaged"), "{damaged}");
}

/// Every file of weights of a run, but for checkpoints and snapshots, by its place in the run. Each
/// has to say where its weights come from.
fn files_of_weights(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if path.is_dir() && name != "checkpoint" && name != "snapshots" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "bpk") {
                let place = path.strip_prefix(folder).unwrap().to_path_buf();
                let file = WeightsFile::read(&path).unwrap();
                let origin = file.metadata("provenance");
                assert!(origin.is_some(), "{} has no origin", place.display());
                found.insert(place, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn equal_runs_leave_equal_files_of_weights() {
    let small = [
        "data.samples=200",
        "student.model=convnet-4-6",
        "student.training.epochs=1",
    ];
    let distilled = ["teacher.model=convnet-8-16", "teacher.training.epochs=1"];
    for (name, changes, expected) in [
        (
            "quickstart",
            vec!["seeds=[0]", distilled[0], distilled[1]],
            3,
        ),
        ("strategy/mutual", vec![], 4),
        ("strategy/born-again", vec![], 4),
        ("strategy/mean-teacher", vec![], 3),
        (
            "strategy/two-stage-hints",
            [&distilled[..], &["stage.0.epochs=1", "stage.1.epochs=1"]].concat(),
            5,
        ),
    ] {
        let changes = [&small[..], &changes].concat();
        let [first, second] = [(), ()].map(|()| {
            let out = tempfile::tempdir().unwrap();
            let arguments = arguments_of(&recipe(name), out.path(), &changes);
            assert_success(&program(&more_than(&arguments, &[])).output().unwrap());
            files_of_weights(out.path())
        });
        assert!(first.len() >= expected, "{name}: {:?}", first.keys());
        assert_eq!(
            first.keys().collect::<Vec<_>>(),
            second.keys().collect::<Vec<_>>()
        );
        for (place, bytes) in &first {
            assert!(bytes == &second[place], "{name}: {}", place.display());
        }
    }
}

#[test]
fn a_run_that_lost_its_teacher_trains_it_again_and_goes_on() {
    let route = ["route.anchors=2", "student.training.epochs=2"];
    for changes in [&[][..], &route] {
        let out = tempfile::tempdir().unwrap();
        let changes = [&SHORT[..], changes].concat();
        assert_success(&run(out.path(), &changes, &[]));
        let expected = result(out.path());

        // As if it had been stopped during the training of the distilled student.
        let seed = out.path().join("seed-0");
        fs::remove_dir_all(seed.join("teacher")).unwrap();
        for file in ["training.json", "model.bpk"] {
            let _ = fs::remove_file(seed.join("distilled").join(file));
        }
        assert_success(&run(out.path(), &changes, &["--resume"]));

        let found = result(out.path());
        for network in ["teacher", "distilled"] {
            assert_eq!(found[network]["accuracy"], expected[network]["accuracy"]);
        }
    }
}

#[test]
fn a_run_that_lost_the_record_of_its_teacher_goes_on() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run(out.path(), &SHORT, &[]));
    let expected = files_of_weights(out.path());

    let seed = out.path().join("seed-0");
    for file in [
        "teacher/training.json",
        "teacher/model.bpk",
        "distilled/training.json",
    ] {
        fs::remove_file(seed.join(file)).unwrap();
    }
    assert_success(&run(out.path(), &SHORT, &["--resume"]));

    assert_eq!(files_of_weights(out.path()), expected);
}
