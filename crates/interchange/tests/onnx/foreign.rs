//! Files that are broken, or hold models that cannot be run.

use super::common::{config, data, file, refusal};
use burn::tensor::Tensor;
use burn_distill_interchange::OnnxNetwork;
use std::fs;
use std::path::Path;

fn error_of(path: &Path, json: &str) -> String {
    let loaded = OnnxNetwork::<Tensor<2>>::load(path, &config(json), &data(&[4]));
    refusal(loaded.err().expect("the file is refused"))
}

fn error(name: &str) -> String {
    error_of(&file(name), "{}")
}

#[test]
fn unknown_operators_are_named_with_their_nodes() {
    for (name, expected) in [
        (
            "unknown_operator",
            "the node `/block/Frob` is a `Frobnicate` of opset 13, an operator that is not supported",
        ),
        (
            "other_domain",
            "the node `fused` is a `com.microsoft.FusedThing` of opset 13",
        ),
        (
            "control_flow",
            "the node `choose` is a `If`, whose control flow is not supported",
        ),
    ] {
        let found = error(name);
        assert!(
            found.starts_with(&format!("{name}.onnx: {expected}")),
            "{found}"
        );
    }
}

#[test]
fn graphs_that_contradict_themselves_are_refused() {
    for (name, expected) in [
        ("no_outputs", "the file has no output"),
        ("no_graph", "the file holds no graph"),
        ("cycle", "the node `first` needs its own output, in a cycle"),
        (
            "huge_tensor",
            "the constant `w` has the shape [1073741824, 1073741824] of float32 elements, but the file holds \
             0 values for it",
        ),
        (
            "short_tensor",
            "the constant `w` has the shape [4, 3] of float32 elements, but the file holds 40 bytes for it",
        ),
        ("missing_data", "the constant `w` is in the file "),
        (
            "data_outside",
            "the constant `w` is in the file `../../../../Cargo.toml`, but only files in",
        ),
        ("huge_fill", "the node `fill`"),
    ] {
        let found = error(name);
        assert!(
            found.starts_with(&format!("{name}.onnx: {expected}")),
            "{found}"
        );
    }
    assert!(error("missing_data").contains("missing.bin, which cannot be read"));
}

#[test]
fn outputs_that_are_not_numbers_are_refused() {
    let found = error("strings");
    assert!(
        found.contains("the output output string [3] is of text"),
        "{found}"
    );
    let found = error("zip_map");
    assert!(
        found.contains("convert the model with `zipmap=False`"),
        "{found}"
    );

    // Only the part of the graph before the output counts.
    let json = r#"{ "output": "probabilities", "outputs": "probabilities" }"#;
    assert!(OnnxNetwork::<Tensor<2>>::load(file("zip_map"), &config(json), &data(&[4])).is_ok());
}

#[test]
fn files_of_other_formats_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let found = |contents: &[u8]| {
        fs::write(&path, contents).unwrap();
        let text = error_of(&path, "{}");
        let start = format!("{}: ", path.display());
        text.strip_prefix(&start).unwrap().to_string()
    };

    assert!(found(b"").starts_with("the file holds no graph"));
    for contents in [
        &b"PK\x03\x04 zip"[..],
        b"\x89HDF\r\n",
        b"<html></html>",
        b"{}",
        &[0xff; 64],
    ] {
        let found = found(contents);
        assert!(found.contains("is not an ONNX model"), "{found}");
    }
    let whole = fs::read(file("mlp")).unwrap();
    for length in 0..whole.len() {
        // A shorter file may by chance be whole without its last field.
        let _ = found_or_loaded(&path, &whole[..length]);
    }
    let missing = error_of(Path::new("not/here.onnx"), "{}");
    assert!(missing.starts_with("not/here.onnx: "), "{missing}");
    let found = error_of(folder.path(), "{}");
    assert!(found.ends_with("this is not a regular file"), "{found}");
}

fn found_or_loaded(path: &Path, contents: &[u8]) -> Option<String> {
    fs::write(path, contents).unwrap();
    let loaded = OnnxNetwork::<Tensor<2>>::load(path, &config("{}"), &data(&[4]));
    loaded.err().map(|error| error.to_string())
}

#[test]
fn data_in_another_file_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("external.onnx");
    fs::copy(file("external"), &path).unwrap();
    let bytes = fs::read(file("external").with_extension("bin")).unwrap();

    fs::write(
        folder.path().join("external.bin"),
        &bytes[..bytes.len() - 1],
    )
    .unwrap();
    let found = error_of(&path, "{}");
    assert!(
        found.contains("should be in the file external.bin of 171 bytes"),
        "{found}"
    );
    fs::write(folder.path().join("external.bin"), &bytes).unwrap();
    assert_eq!(
        found_or_loaded(&path, &fs::read(file("external")).unwrap()),
        None
    );

    #[cfg(unix)]
    {
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(outside.path(), &bytes).unwrap();
        fs::remove_file(folder.path().join("external.bin")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("external.bin")).unwrap();
        let found = error_of(&path, "{}");
        assert!(
            found.contains("a link to a file outside of the folder"),
            "{found}"
        );
    }
}
