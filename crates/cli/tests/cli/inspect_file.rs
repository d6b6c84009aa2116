//! `burn-distill inspect FILE`.

use crate::common::{assert_success, program, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interchange/tests/fixtures");
    folder.join(name).canonicalize().unwrap()
}

fn inspect(path: &Path, more: &[&str]) -> String {
    let path = path.display().to_string();
    let output = program(&[&["inspect", &path][..], more].concat())
        .output()
        .unwrap();
    assert_success(&output);
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(path: &str) -> String {
    let output = program(&["inspect", path]).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_checkpoint_shows_its_format_its_tensors_and_its_numbers() {
    let text = inspect(&fixture("nested.pth"), &[]);

    for line in [
        "format         PyTorch\n",
        "tensors                    22\n",
        "epoch          12\n",
        "arch           convnet\n",
        "and 6 more, which --all shows\n",
        "It fits no model of `burn-distill list models` with a fixed name.",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= 80 || line.contains(".pth")),
        "{text}"
    );
    let all = inspect(&fixture("nested.pth"), &["--all"]);
    assert!(all.contains("state_dict.module.fc.weight"), "{all}");
    assert!(all.contains("int64") && all.contains("scalar"), "{all}");
    assert!(!all.contains(" more, which"), "{all}");
}

#[test]
fn it_is_also_written_as_json() {
    let text = inspect(&fixture("plain.safetensors"), &["--json"]);
    let inspection: Value = serde_json::from_str(&text).unwrap();

    assert_eq!(inspection["format"], "SafeTensors");
    assert_eq!(inspection["metadata"]["about"], "a network");
    assert_eq!(inspection["tensors"].as_array().unwrap().len(), 12);
    assert_eq!(inspection["tensors"][0]["dtype"], "float32");
    // 18 + 54 weights of convolutions, 4 · (2 + 3) of normalizations, 9 + 3 of the classifier.
    assert_eq!(inspection["values"], 104);
}

#[test]
fn weights_of_a_run_show_their_origin_and_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [
        "seeds=[0]",
        "data.samples=64",
        "teacher.model=resnet8",
        "teacher.training.epochs=1",
        "student.model=mlp-8",
        "student.training.epochs=1",
    ];
    assert_success(&run(folder.path(), &changes, &[]));

    let teacher = inspect(&folder.path().join("seed-0/teacher/model.bpk"), &[]);
    assert!(
        teacher.contains("format         burn (.bpk)\n"),
        "{teacher}"
    );
    assert!(teacher.contains("model          resnet8\n"), "{teacher}");
    assert!(teacher.contains("data           digits\n"), "{teacher}");
    // Its first convolution takes one channel.
    let student = inspect(
        &folder.path().join("seed-0/distilled/model.bpk"),
        &["--input", "1x8x8"],
    );
    assert!(
        student.ends_with("\nfits mlp-8 for 10 classes\n"),
        "{student}"
    );
    assert!(
        teacher.ends_with("\nfits resnet8 for 10 classes\n"),
        "{teacher}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("a.pth"), "<html>").unwrap();

    assert!(refusal(&path("a.pth")).contains("a.pth: it is a web page or XML, but a checkpoint"));
    assert!(refusal("nowhere.pth").contains("nowhere.pth: file not found"));
    assert!(refusal(&path("")).contains("it is a folder, but a checkpoint"));
    assert!(refusal("resnt20").contains("did you mean `resnet20`?"));
}
