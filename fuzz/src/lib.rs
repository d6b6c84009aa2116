//! Shared code of the fuzz targets.

use burn_distill_interchange::Checkpoint;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes bytes to a file, and calls a function with its path.
pub fn with_file<T>(bytes: &[u8], call: impl FnOnce(&Path) -> T) -> T {
    let mut file = NamedTempFile::new().expect("a temporary file can be created");
    file.write_all(bytes)
        .expect("a temporary file can be written");
    call(file.path())
}

/// Opens bytes as a checkpoint, and reads all its tensors. An error is as good as a result.
pub fn open(bytes: &[u8]) {
    with_file(bytes, |path| {
        if let Ok(checkpoint) = Checkpoint::open(path) {
            for tensor in checkpoint.tensors() {
                let _ = tensor.read();
            }
        }
    });
}

/// Opens bytes after the first ones of a format, so that all inputs are of this format.
pub fn open_as(head: &[u8], bytes: &[u8]) {
    let rest = bytes.get(head.len()..).unwrap_or_default();
    open(&[head, rest].concat());
}
