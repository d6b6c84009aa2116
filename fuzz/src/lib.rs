//! Shared code of the fuzz targets.

use burn_distill_interchange::Checkpoint;
use std::io::Write;
use tempfile::NamedTempFile;

/// Opens bytes as a checkpoint, and reads all its tensors. An error is as good as a result.
pub fn open(bytes: &[u8]) {
    let mut file = NamedTempFile::new().expect("a temporary file can be created");
    file.write_all(bytes).expect("a temporary file can be written");
    if let Ok(checkpoint) = Checkpoint::open(file.path()) {
        for tensor in checkpoint.tensors() {
            let _ = tensor.read();
        }
    }
}

/// Opens bytes after the first ones of a format, so that all inputs are of this format.
pub fn open_as(head: &[u8], bytes: &[u8]) {
    let rest = bytes.get(head.len()..).unwrap_or_default();
    open(&[head, rest].concat());
}
