//! Checkpoints of PyTorch and SafeTensors, as `docs/reference/checkpoints.py` writes them, and
//! damaged or hostile ones.

mod archive;
mod damaged;
mod fixtures;
mod hostile;
mod mapped;

use burn_distill_interchange::{Checkpoint, CheckpointError};
use std::path::PathBuf;

/// All fixtures that can be read, and one that is refused.
const FIXTURES: [&str; 11] = [
    "legacy.pth",
    "nested.pth",
    "nested_legacy.pth",
    "plain.pth",
    "plain.safetensors",
    "protocol4.pth",
    "repeated.pth",
    "types.pth",
    "types.safetensors",
    "views.pth",
    "whole.pth",
];

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join("tests/fixtures").join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(path(name)).unwrap()
}

/// Writes a file, and opens it as a checkpoint.
fn opened(contents: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    std::fs::write(&path, contents).unwrap();
    let checkpoint = Checkpoint::open(&path)?;
    // The folder is removed, and values would be read from it.
    for tensor in checkpoint.tensors() {
        tensor.read()?;
    }
    Ok(checkpoint)
}

/// Returns the error about a file, without its path, which it begins with.
fn refusal(contents: &[u8]) -> String {
    let error = opened(contents)
        .err()
        .expect("the file is refused")
        .to_string();
    let (path, message) = error.split_once(": ").unwrap();
    assert!(path.ends_with("model.pth"), "{error}");
    message.to_string()
}
