use burn_distill_core::{file_sha256, hexadecimal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::path::PathBuf;

/// The identity of a teacher, which a checkpoint stores so that a training resumes with the same
/// teacher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherIdentity {
    /// File of the weights.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

impl TeacherIdentity {
    /// Creates the identity of a teacher from the file of its weights.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn of_file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let sha256 = file_sha256(&path)?;
        Ok(Self { path, sha256 })
    }

    /// Creates the identity of several teachers in this order: the path of the first file, and a
    /// hash of the hashes of all. For a single file it equals [`of_file`](Self::of_file).
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if there is no file.
    pub fn of_files(paths: &[PathBuf]) -> io::Result<Self> {
        let each: io::Result<Vec<_>> = paths.iter().map(Self::of_file).collect();
        let mut each = each?;
        let first = each
            .first()
            .expect("The identity of teachers needs at least one file of weights.");
        if each.len() == 1 {
            return Ok(each.remove(0));
        }
        let hashes: Vec<_> = each.iter().map(|teacher| teacher.sha256.as_str()).collect();
        Ok(Self {
            path: first.path.clone(),
            sha256: hexadecimal(Sha256::digest(hashes.join("\n"))),
        })
    }
}
