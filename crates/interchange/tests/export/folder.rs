use crate::common::*;
use burn::tensor::Device;
use burn_distill_interchange::{ModelDescription, ModelExport, ModelFormat, load};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn exported() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let model = written(
        &network("mlp-8", SHAPE, 3),
        "mlp-8",
        folder.path(),
        |export| export,
    );
    (folder, model)
}

fn refusal(folder: &Path) -> String {
    let refused = load(folder, &Device::flex()).err();
    refused.expect("the model is refused").to_string()
}

/// Changes a value of the description.
fn change(folder: &Path, pointer: &str, value: Value) {
    let path = folder.join("model.json");
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn a_description_is_the_same_once_it_was_written_and_read() {
    let (_folder, model) = exported();
    let description = ModelDescription::read(&model).unwrap();

    let json: Value =
        serde_json::from_str(&fs::read_to_string(model.join("model.json")).unwrap()).unwrap();
    assert_eq!(json["format_version"], 1);
    assert_eq!(json["architecture"]["name"], "mlp-8");
    assert_eq!(json["input"]["kind"], "images");
    assert_eq!(json["input"]["shape"], serde_json::json!([1, 8, 8]));
    assert_eq!(json["classes"][2], "class 2");
    assert_eq!(json["weights"]["file"], "model.bpk");
    assert_eq!(json["taps"][0]["name"], "hidden.1.pre");
    assert_eq!(json["parameters"], 64 * 8 + 8 + 8 * 3 + 3);
    let again: ModelDescription = serde_json::from_value(json).unwrap();
    assert_eq!(again, description);
    assert_eq!(
        fs::read_to_string(model.join("README.md")).unwrap(),
        "A model."
    );
}

#[test]
fn folders_without_a_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = refusal(folder.path());
    assert!(empty.contains("there is no `model.json`"), "{empty}");
    assert!(refusal(&folder.path().join("no")).contains("no exported model"));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refusal(&file).contains("no exported model"));
}

#[test]
fn a_damaged_description_is_refused_by_its_path() {
    for contents in [&b""[..], b"{", b"[]", b"{}", b"\xff\xfe"] {
        let (_folder, model) = exported();
        fs::write(model.join("model.json"), contents).unwrap();
        let message = refusal(&model);
        assert!(
            message.contains("model.json: not the description of a model"),
            "{message}"
        );
    }
}

#[test]
fn values_that_contradict_the_network_are_refused() {
    for (pointer, value, expected) in [
        (
            "/format_version",
            7.into(),
            "its `format_version` is 7, but this program reads versions up to 1",
        ),
        (
            "/architecture/name",
            "resnt20".into(),
            "which is not a network of this library",
        ),
        (
            "/architecture/name",
            "mlp-9".into(),
            "does not hold the weights of a mlp-9",
        ),
        (
            "/architecture/name",
            "vit-4-1-3".into(),
            "the number of attention heads",
        ),
        (
            "/classes",
            serde_json::json!([]),
            "`classes` should name at least one class",
        ),
        (
            "/classes",
            serde_json::json!(["a", "b"]),
            "2 classes, which model.json describes",
        ),
        (
            "/input/shape",
            serde_json::json!([1, 0, 8]),
            "should have no size of 0",
        ),
        (
            "/input/shape",
            serde_json::json!([1, 8, 9]),
            "for images of 1x8x9",
        ),
        (
            "/input/kind",
            "vectors".into(),
            "not the description of a model",
        ),
        (
            "/normalization/mean",
            serde_json::json!([0.5, 0.5]),
            "for each of the 1 channels",
        ),
        (
            "/normalization/std",
            serde_json::json!([0.0]),
            "a standard deviation above 0",
        ),
        (
            "/weights/file",
            "../model.bpk".into(),
            "should be the name of a file in the folder",
        ),
        (
            "/weights/file",
            "other.bpk".into(),
            "is missing: export the model again",
        ),
        ("/weights/sha256", "0".into(), "but model.json has 0"),
        ("/weights/format", "safetensors".into(), "model.bpk: "),
        (
            "/weights/format",
            "onnx".into(),
            "an ONNX file, which is for other programs",
        ),
    ] {
        let (_folder, model) = exported();
        change(&model, pointer, value);
        let message = refusal(&model);
        assert!(message.contains(expected), "{pointer}: {message}");
        assert!(
            message.starts_with(&model.display().to_string()),
            "{message}"
        );
    }
}

#[test]
fn a_network_that_its_file_cannot_hold_is_not_created() {
    let (_folder, model) = exported();
    let path = model.join("model.json");
    let text = fs::read_to_string(&path).unwrap();
    // Its parameters would take 16 GiB.
    fs::write(&path, text.replace("\"mlp-8\"", "\"mlp-65536-65536\"")).unwrap();
    let message = refusal(&model);
    assert!(
        message.contains("`architecture` is a mlp-65536-65536 with 4") && message.contains("bytes"),
        "{message}"
    );
}

#[test]
fn a_damaged_file_of_weights_is_refused() {
    let (_folder, model) = exported();
    let path = model.join("model.bpk");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bytes in [Vec::new(), whole[..whole.len() / 2].to_vec(), flipped] {
        fs::write(&path, bytes).unwrap();
        let message = refusal(&model);
        assert!(
            message.contains("the file is damaged or belongs to another model"),
            "{message}"
        );
    }
}

#[test]
fn a_folder_is_replaced_only_if_it_is_asked_for_and_holds_a_model_alone() {
    let (folder, model) = exported();
    let network = network("mlp-9", SHAPE, 3);
    let export = |replaces, format| {
        let export = ModelExport::new(description("mlp-9", &network, SHAPE));
        let export = export.with_format(format).with_replace(replaces);
        export.write(&network, &model, |_| "Another.".into())
    };

    let error = export(false, ModelFormat::Burnpack)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exists already: name another folder"),
        "{error}"
    );
    assert_eq!(
        ModelDescription::read(&model).unwrap().architecture.name,
        "mlp-8"
    );

    export(true, ModelFormat::SafeTensors).unwrap();
    let description = ModelDescription::read(&model).unwrap();
    assert_eq!(description.architecture.name, "mlp-9");
    assert!(
        !model.join("model.bpk").exists(),
        "files of the old model are gone"
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing else is left"
    );

    fs::write(model.join("notes.txt"), "mine").unwrap();
    let error = export(true, ModelFormat::Burnpack).unwrap_err().to_string();
    assert!(error.contains("since it also holds `notes.txt`"), "{error}");
    fs::remove_file(model.join("notes.txt")).unwrap();
    fs::create_dir(model.join("model.onnx")).unwrap();
    let error = export(true, ModelFormat::Burnpack).unwrap_err().to_string();
    assert!(
        error.contains("since it also holds `model.onnx`"),
        "{error}"
    );
    fs::remove_dir(model.join("model.onnx")).unwrap();
    fs::remove_file(model.join("model.json")).unwrap();
    let error = export(true, ModelFormat::Burnpack).unwrap_err().to_string();
    assert!(error.contains("since it has no `model.json`"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let network = network("mlp-8", SHAPE, 3);
    let export = ModelExport::new(description("mlp-8", &network, SHAPE));

    let error = export.write(&network, file.join("model"), |_| String::new());

    assert!(error.unwrap_err().to_string().contains("file"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
