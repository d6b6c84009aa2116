use super::TeacherIdentity;
use std::io;
use std::path::{Path, PathBuf};

/// Error of a checkpoint that cannot be read, written or used.
#[derive(thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The manifest is not one.
    #[error(
        "{}: the file is empty or damaged; restore it, or remove the folder {} to train again",
        path.display(),
        folder_of_training(path).display()
    )]
    Manifest {
        /// The file of the manifest.
        path: PathBuf,
        /// Description of the fault.
        message: String,
    },
    /// The note of a training that diverged is not one.
    #[error(
        "{}: the file is empty or damaged; remove it to go on from the last checkpoint",
        path.display()
    )]
    Diverged {
        /// The file of the note.
        path: PathBuf,
        /// Description of the fault.
        message: String,
    },
    /// The checkpoint was made with another teacher.
    #[error(
        "{}: made with the teacher {} (SHA-256 {}), but this run has {}: \
         start anew, or give it its own teacher",
        path.display(),
        expected.as_ref().map_or("none".into(), |t| t.path.display().to_string()),
        expected.as_ref().map_or("-", |t| &t.sha256),
        found.as_ref().map_or("none".into(), |t| format!("{} ({})", t.path.display(), t.sha256))
    )]
    OtherTeacher {
        /// The file of the manifest.
        path: PathBuf,
        /// The teacher that the checkpoint was made with.
        expected: Option<TeacherIdentity>,
        /// The teacher of this run.
        found: Option<TeacherIdentity>,
    },
    /// A file of the checkpoint is not the one that the manifest was written for.
    #[error(
        "{}: does not fit this run: the file is damaged or belongs to another training, as its \
         SHA-256 is {found}, but {expected} was expected; restore it, or remove the folder {} to train \
         anew",
        path.display(),
        folder.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The folder of the training.
        folder: PathBuf,
        /// The SHA-256 that the manifest has.
        expected: String,
        /// The SHA-256 of the file.
        found: String,
    },
    /// A file that the training has left is gone.
    #[error(
        "{}: a file of this training is not there; restore it, or remove the folder {} to train anew",
        path.display(),
        folder.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The folder of the training.
        folder: PathBuf,
    },
    /// A record cannot be loaded into the model.
    #[error("{}: does not fit this run: {message}", path.display())]
    Record {
        /// The file of the record.
        path: PathBuf,
        /// Description of what does not fit.
        message: String,
    },
}

burn_distill_core::debug_as_display!(CheckpointError);

/// Returns the folder of the training whose manifest is that file.
pub(super) fn folder_of_training(manifest: &Path) -> &Path {
    manifest.ancestors().nth(2).unwrap_or(manifest)
}
