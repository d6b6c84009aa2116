use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes a file under a temporary name and then renames it, so that a reader never sees a partial
/// file, even if the program is killed.
///
/// It does not wait for the disk, which would take longer than an epoch of a small training.
///
/// # Errors
///
/// Returns an error if the folder of the file cannot be written to. The old file is then unharmed.
pub fn write_atomically(path: impl AsRef<Path>, contents: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    fs::write(partial_path(path), contents)?;
    publish_partial(path)
}

/// Returns the path under which the contents of `path` are written before they are renamed.
pub fn partial_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("partial-{name}"))
}

/// Renames a finished [partial](partial_path) file to its final name, which is `path`.
///
/// # Errors
///
/// Returns an error if the file cannot be renamed.
pub fn publish_partial(path: &Path) -> io::Result<()> {
    fs::rename(partial_path(path), path)
}

/// Returns the SHA-256 of a file, in hexadecimal.
///
/// # Errors
///
/// Returns an error if the file cannot be read.
pub fn file_sha256(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(hexadecimal(digest.finalize()))
}

/// Returns bytes in hexadecimal, such as those of a digest.
pub fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_replaced_does_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        write_atomically(&path, b"old").unwrap();

        // A folder has the name of the partial file.
        fs::create_dir(partial_path(&path)).unwrap();
        write_atomically(&path, b"new").unwrap_err();

        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn no_partial_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");

        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
