//! Shared code of the fuzz targets.

use burn_distill_interchange::Checkpoint;
use std::io::Write;
use tempfile::NamedTempFile;

/// Opens bytes as a checkpoint, and reads all its tensors. Errors are ignored: only a panic, a hang
/// or much memory is a failure.
pub fn open(bytes: &[u8]) {
    let mut file = NamedTempFile::new().expect("a temporary file can be created");
    file.write_all(bytes).expect("a temporary file can be written");
    if let Ok(checkpoint) = Checkpoint::open(file.path()) {
        for tensor in checkpoint.tensors() {
            let _ = tensor.read();
        }
    }
}

/// Opens bytes, the first of which are replaced by those of a format, so that every input is opened
/// as this format.
pub fn open_as(head: &[u8], bytes: &[u8]) {
    let rest = bytes.get(head.len()..).unwrap_or_default();
    open(&[head, rest].concat());
}
