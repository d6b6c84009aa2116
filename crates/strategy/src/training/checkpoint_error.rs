use super::TeacherIdentity;
use std::io;
use std::path::{Path, PathBuf};

/// The reason why a checkpoint cannot be read, written or used.
#[derive(thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The manifest is empty or damaged.
    #[error(
        "{}: the file is empty or damaged; restore it, or remove the folder {} to train again",
        path.display(),
        folder_of_training(path).display()
    )]
    Manifest {
        /// File of the manifest.
        path: PathBuf,
        /// Description of the fault.
        message: String,
    },
    /// The record of a divergence is empty or damaged.
    #[error(
        "{}: the file is empty or damaged; remove it to continue from the last checkpoint",
        path.display()
    )]
    Diverged {
        /// File of the record.
        path: PathBuf,
        /// Description of the fault.
        message: String,
    },
    /// The checkpoint was made with another teacher.
    #[error(
        "{}: made with the teacher {} (SHA-256 {}), but this run has {}: \
         start a new training, or resume with the teacher of the checkpoint",
        path.display(),
        expected.as_ref().map_or("none".into(), |t| t.path.display().to_string()),
        expected.as_ref().map_or("-", |t| &t.sha256),
        found.as_ref().map_or("none".into(), |t| format!("{} ({})", t.path.display(), t.sha256))
    )]
    OtherTeacher {
        /// File of the manifest.
        path: PathBuf,
        /// Teacher of the checkpoint.
        expected: Option<TeacherIdentity>,
        /// Teacher of this run.
        found: Option<TeacherIdentity>,
    },
    /// A file of the checkpoint does not have the checksum in the manifest.
    #[error(
        "{}: does not fit this run: the file is damaged or belongs to another training, since its \
         SHA-256 is {found}, but {expected} was expected; restore it, or remove the folder {} to train \
         again",
        path.display(),
        folder.display()
    )]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Folder of the training.
        folder: PathBuf,
        /// SHA-256 in the manifest.
        expected: String,
        /// SHA-256 of the file.
        found: String,
    },
    /// A file of the training is missing.
    #[error(
        "{}: a file of this training is missing; restore it, or remove the folder {} to train again",
        path.display(),
        folder.display()
    )]
    Missing {
        /// Path of the file.
        path: PathBuf,
        /// Folder of the training.
        folder: PathBuf,
    },
    /// A record cannot be loaded into the model.
    #[error("{}: does not fit this run: {message}", path.display())]
    Record {
        /// File of the record.
        path: PathBuf,
        /// Description of the difference.
        message: String,
    },
}

burn_distill_core::debug_as_display!(CheckpointError);

/// Returns the folder of the training with this manifest.
pub(super) fn folder_of_training(manifest: &Path) -> &Path {
    manifest.ancestors().nth(2).unwrap_or(manifest)
}
