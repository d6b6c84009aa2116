//! The format of a file, by its contents.

use super::error::CheckpointError;
use super::format::CheckpointFormat;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// First bytes of a file of burn.
const BURN: &[u8] = b"NRUB";

/// The number that a legacy file of PyTorch begins with, 0x1950a86a20f9469cfc6c, in little-endian
/// bytes.
const LEGACY: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Number of bytes by which a format is recognized.
const HEAD: u64 = 262;

impl CheckpointFormat {
    /// Returns the format of a file by its contents, regardless of its name.
    ///
    /// ```
    /// use burn_distill_interchange::CheckpointFormat;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.bin");
    /// std::fs::write(&path, b"NRUB\x01\x00")?;
    ///
    /// assert_eq!(CheckpointFormat::of_file(&path)?, CheckpointFormat::Burnpack);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or has another format.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let io = |error| CheckpointError::io(path, error);
        let metadata = fs::metadata(path).map_err(io)?;
        let unknown = |found: &str| CheckpointError::Unknown {
            path: path.to_path_buf(),
            found: found.into(),
        };
        if !metadata.is_file() {
            return Err(unknown(match metadata.is_dir() {
                true => "it is a folder",
                false => "it is not a regular file",
            }));
        }
        let mut head = Vec::new();
        let file = File::open(path).map_err(io)?;
        file.take(HEAD).read_to_end(&mut head).map_err(io)?;
        Self::of_head(&head).map_err(unknown)
    }

    /// Returns the format by the first bytes of a file, or a description of the contents.
    fn of_head(head: &[u8]) -> Result<Self, &'static str> {
        let is_legacy = head.windows(LEGACY.len()).take(64).any(|it| it == LEGACY);
        // The reader of the tensors takes a TAR archive for one, whatever it begins with.
        let is_tar = head.get(257..262) == Some(b"ustar");
        if head.starts_with(b"PK\x03\x04") {
            return Ok(Self::PyTorch);
        }
        if head.starts_with(BURN) {
            return Ok(Self::Burnpack);
        }
        if is_legacy && !is_tar {
            return Ok(Self::PyTorchLegacy);
        }
        // Its length, then a JSON object.
        if head.get(8) == Some(&b'{') {
            return Ok(Self::SafeTensors);
        }
        // A pickle of version 2 or later, or one of the first opcodes of an earlier one.
        if !is_tar && matches!(head.first(), Some(0x80 | b'(' | b'}' | b']' | b'c')) {
            return Ok(Self::PyTorchLegacy);
        }
        Err(match head {
            [] => "the file is empty",
            _ if head.starts_with(b"version https://git-lfs") => {
                "it is a pointer of Git LFS, whose file `git lfs pull` fetches"
            }
            _ if head.starts_with(b"<") => "it is a web page or XML",
            _ if head.starts_with(b"{") => {
                "it is a JSON file (an index of several .safetensors files is not read: merge them \
                 into one file)"
            }
            _ if head.starts_with(b"\x89HDF") => "it is an HDF5 file, as Keras writes",
            _ if is_tar => {
                "it is a TAR archive, as PyTorch wrote before version 0.1.10: load and save it with \
                 a newer PyTorch"
            }
            _ => "its first bytes are of another format",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckpointFormat::*;

    #[test]
    fn formats_are_recognized_by_the_first_bytes() {
        let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
        let legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
        for (head, expected) in [
            (&b"PK\x03\x04rest"[..], Ok(PyTorch)),
            (b"NRUB\x01\x00", Ok(Burnpack)),
            (legacy, Ok(PyTorchLegacy)),
            (b"\x80\x02}q\x00.", Ok(PyTorchLegacy)),
            (b"\x02\0\0\0\0\0\0\0{}", Ok(SafeTensors)),
            // The length begins like a pickle.
            (b"\x80\0\0\0\0\0\0\0{", Ok(SafeTensors)),
            (b"", Err("the file is empty")),
            (b"PK", Err("its first bytes are of another format")),
            (b"<!doctype html>", Err("it is a web page or XML")),
        ] {
            assert_eq!(CheckpointFormat::of_head(head), expected);
        }
        // Also if it looks like a legacy file or a pickle at first.
        for head in [&b"aaaa"[..], legacy, b"\x80\x02}q\x00."] {
            let tar = [head, &tar[head.len()..]].concat();
            let found = CheckpointFormat::of_head(&tar).unwrap_err();
            assert!(found.contains("TAR archive"), "{found}");
        }
        let pointer = b"version https://git-lfs.github.com/spec/v1\n";
        assert!(
            CheckpointFormat::of_head(pointer)
                .unwrap_err()
                .contains("git lfs pull")
        );
    }

    #[test]
    fn a_folder_and_a_missing_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| CheckpointFormat::of_file(path).unwrap_err().to_string();

        assert!(error(folder.path()).contains("it is a folder, but a checkpoint"));
        assert!(error(&folder.path().join("a.pth")).ends_with("a.pth: file not found"));
    }
}
