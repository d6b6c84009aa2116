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

/// Opens bytes as a checkpoint, and reads all its tensors. Errors are ignored: only a panic, a hang
/// or much memory is a failure.
pub fn open(bytes: &[u8]) {
    with_file(bytes, |path| {
        if let Ok(checkpoint) = Checkpoint::open(path) {
            for tensor in checkpoint.tensors() {
                let _ = tensor.read();
            }
        }
    });
}

/// Opens bytes, the first of which are replaced by those of a format, so that every input is opened
/// as this format.
pub fn open_as(head: &[u8], bytes: &[u8]) {
    let rest = bytes.get(head.len()..).unwrap_or_default();
    open(&[head, rest].concat());
}
