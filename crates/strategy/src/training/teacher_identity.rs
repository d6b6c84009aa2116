use super::file;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::path::PathBuf;

/// A teacher as a checkpoint remembers it: a student resumes with the teacher it began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherIdentity {
    /// The file of its weights.
    pub path: PathBuf,
    /// The SHA-256 of that file, in hexadecimal.
    pub sha256: String,
}

impl TeacherIdentity {
    /// The identity of the teacher whose weights are in that file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn of_file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let sha256 = file::file_sha256(&path)?;
        Ok(Self { path, sha256 })
    }

    /// The identity of several teachers in this order: where the first is, and a hash of the hashes
    /// of all. Of one it is [that](Self::of_file) of its file.
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
        let first = each.first().expect("There should be a teacher.");
        if each.len() == 1 {
            return Ok(each.remove(0));
        }
        let hashes: Vec<_> = each.iter().map(|teacher| teacher.sha256.as_str()).collect();
        Ok(Self {
            path: first.path.clone(),
            sha256: file::hexadecimal(Sha256::digest(hashes.join("\n"))),
        })
    }
}
