//! Files of three kinds, whose bytes are below 64, below 128, or below 192.

use file_type::files::{File, Limits, collect};
use std::fs;

/// Writes and collects 150 files.
pub fn files() -> Vec<File> {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..150_u32 {
        let lowest = 33 + (file % 3) as u8 * 64;
        let bytes = (1..40 + file).map(|place| {
            let random = place.wrapping_mul(2_654_435_761).wrapping_mul(file + 1) >> 24;
            lowest + (random % 31) as u8
        });
        let bytes: Vec<_> = bytes.collect();
        fs::write(folder.path().join(file.to_string()), bytes).unwrap();
    }
    let limits = Limits {
        files: 1000,
        per_ending: 1000,
    };
    let files = collect(&[folder.path().into()], limits);
    assert_eq!(files.len(), 150);
    files
}

/// Returns the kind of a file.
pub fn kind(file: &File) -> usize {
    usize::from(file.tokens[0] / 64)
}
