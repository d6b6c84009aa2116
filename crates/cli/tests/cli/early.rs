//! Faults are told before anything is trained, and a start that fails leaves nothing.

use crate::common::*;
use std::fs;
use std::path::Path;

const RECIPE: &str = "name = 'late'\nseeds = [0, 1]\n\
    data = { name = 'digits', samples = 400 }\n\
    teacher = { model = 'convnet-8-16', training = { epochs = 4 } }\n\
    student = { model = 'convnet-4-8', training = { epochs = 2 } }\n\
    loss = [{ kind = 'soft-target' }]\n";

/// Starts a run in a new folder, which fails, and returns the message.
fn failed(folder: &Path, changes: &[&str], more: &[&str]) -> String {
    let mut arguments = vec!["run", "recipe.toml"];
    for change in changes {
        arguments.extend(["--set", change]);
    }
    arguments.extend(more);
    let output = program(&arguments).current_dir(folder).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{changes:?}: {error}");
    assert!(!error.contains("panicked"), "{changes:?}: {error}");
    assert!(
        !error.contains("epoch 1/"),
        "{changes:?} was trained: {error}"
    );
    error
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_start_that_fails_is_reported_before_any_training_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("recipe.toml"), RECIPE).unwrap();
    let made = tempfile::tempdir().unwrap();
    assert_success(&run(made.path(), &SHORT, &[]));
    fs::copy(
        made.path().join("seed-0/teacher/model.bpk"),
        root.join("mlp-32.bpk"),
    )
    .unwrap();
    fs::write(root.join("garbage.bpk"), "no weights").unwrap();
    fs::write(root.join("a-file"), "").unwrap();
    let before = files(root);

    let other = "teacher.others=[{ model = 'mlp-32', weights = 'nowhere.bpk' }]";
    for (changes, more, messages) in [
        (
            vec!["data.labels_per_class=200"],
            vec![],
            ["data.labels_per_class", "samples"],
        ),
        (
            vec![other],
            vec![],
            ["`teacher.others.0.weights`", "nowhere.bpk is not found"],
        ),
        (
            vec!["teacher.weights=nowhere.bpk"],
            vec![],
            ["`teacher.weights`", "nowhere.bpk is not found"],
        ),
        (
            vec!["teacher.weights=."],
            vec![],
            ["`teacher.weights`", "is a folder"],
        ),
        #[cfg(unix)]
        (
            vec!["teacher.weights=/dev/null"],
            vec![],
            ["`teacher.weights`", "is not a regular file"],
        ),
        (
            vec!["seeds=[]"],
            vec!["--seed", "1"],
            ["`seeds` is empty", ""],
        ),
        (
            vec!["teacher.weights=mlp-32.bpk"],
            vec![],
            ["`teacher.weights`", "mlp-32.bpk"],
        ),
        (
            vec!["teacher.others=[{ model = 'mlp-16', weights = 'mlp-32.bpk' }]"],
            vec![],
            ["`teacher.others.0.weights`", "mlp-32.bpk"],
        ),
        (
            vec!["teacher.weights=garbage.bpk"],
            vec![],
            ["`teacher.weights`", "garbage.bpk"],
        ),
        (
            vec![
                "student.training.drop_last=true",
                "student.training.batch_size=500",
            ],
            vec![],
            ["`student.training.drop_last`", "500"],
        ),
        (
            vec!["loss.0={ kind = 'hint', student = 'layer9' }"],
            vec![],
            ["`loss.0.student`", "layer9"],
        ),
        (
            vec!["data.samples=5000"],
            vec![],
            ["`data.samples`", "5000"],
        ),
        (
            vec!["data.name=mnist"],
            vec!["--data-dir", "nowhere"],
            ["nowhere", ""],
        ),
        (vec![], vec!["--device", "abacus"], ["no device named", ""]),
        (
            vec![],
            vec!["--out", "a-file/run"],
            ["cannot write to a-file/run", ""],
        ),
        (
            vec![],
            vec!["--out", "a-file"],
            ["cannot write to a-file", ""],
        ),
        (vec![], vec!["--resume"], ["no run of `late`", ""]),
        (
            vec![],
            vec!["--resume", "--out", "nowhere"],
            ["nowhere: no run to resume", ""],
        ),
        (
            vec!["route={ anchors = 9 }"],
            vec![],
            ["`route.anchors`", "9"],
        ),
    ] {
        let error = failed(root, &changes, &more);
        for message in messages {
            assert!(error.contains(message), "{changes:?} {message}: {error}");
        }
        assert_eq!(files(root), before, "{changes:?}: something is left");
    }
}

#[test]
fn too_few_labels_are_refused_for_every_strategy() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let without_teacher = RECIPE.replace("teacher =", "# teacher =");
    fs::write(root.join("recipe.toml"), without_teacher).unwrap();
    for strategy in ["mutual", "tf-kd", "born-again", "dino"] {
        let kind = format!("strategy.kind={strategy}");
        let error = failed(root, &[&kind, "loss=[]", "data.labels_per_class=200"], &[]);
        assert!(
            error.contains("data.labels_per_class"),
            "{strategy}: {error}"
        );
        assert_eq!(files(root), ["recipe.toml"], "{strategy}");
    }
}

#[test]
fn strategies_that_are_other_tables_are_pointed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
    for (kind, table) in [("curriculum", "[[stage]]"), ("rco", "[route]")] {
        let error = failed(folder.path(), &[&format!("strategy.kind={kind}")], &[]);
        assert!(error.contains(table), "{error}");
    }
}

#[test]
fn control_characters_of_the_command_line_are_shown_and_not_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
    let out = folder.path().join("a\u{1b}[31m");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("recipe.toml"), "").unwrap();

    for arguments in [
        &["run", "\u{1b}[31m.toml"][..],
        &["run", "recipe.toml", "--out", "a\u{1b}[31m"],
        &["run", "recipe.toml", "--device", "\u{1b}[31m"],
        &[
            "run",
            "recipe.toml",
            "--data-dir",
            "\u{1b}[31m",
            "--set",
            "data.name=mnist",
        ],
        &["run", "recipe.toml", "--set", "teacher.weights=\u{1b}[31m"],
        &["run", "recipe.toml", "--seed", "\u{1b}[31m"],
        &["inspect", "\u{1b}[31m"],
    ] {
        let started = program(arguments).current_dir(folder.path()).output();
        let output = started.unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!error.contains('\u{1b}'), "{arguments:?}: {error:?}");
        // The parser of options leaves them out.
        let shown = error.contains("\\u{1b}[31m") || error.contains("'--seed <SEED>'");
        assert!(shown, "{arguments:?}: {error:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_no_text_is_refused_in_a_line() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
    for option in ["--out", "--data-dir"] {
        let mut command = program(&["run", "recipe.toml", option]);
        command.arg(OsStr::from_bytes(b"\xff\xfe"));
        let output = command.current_dir(folder.path()).output().unwrap();

        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        let expected = format!("error: {option} should be a path in UTF-8");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert_eq!(files(folder.path()), ["recipe.toml"]);
}

#[test]
fn a_word_of_any_length_is_named_in_short() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
    let long = "x".repeat(100_000);
    let in_folder = format!("runs/{long}");
    let model = format!("student.model=mlp-{long}");
    let weights = format!("teacher.weights={long}");
    for arguments in [
        vec!["inspect", &long],
        vec!["list", &long],
        vec![&long],
        vec!["run", &long],
        vec!["run", "recipe.toml", "--device", &long],
        vec!["run", "recipe.toml", "--seed", &long],
        vec!["run", "recipe.toml", "--out", &in_folder],
        vec![
            "run",
            "recipe.toml",
            "--data-dir",
            &long,
            "--set",
            "data.name=mnist",
        ],
        vec!["run", "recipe.toml", "--set", &model],
        vec!["run", "recipe.toml", "--set", &weights],
        vec!["run", "recipe.toml", "--set", &long],
    ] {
        let output = program(&arguments).current_dir(folder.path()).output();
        let output = output.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:.60?}");
        assert!(error.contains("xxxxxxx"), "{arguments:.60?}: {error}");
        assert!(error.len() < 5000, "{} of {arguments:.60?}", error.len());
    }
    assert_eq!(files(folder.path()), ["recipe.toml"]);
}
