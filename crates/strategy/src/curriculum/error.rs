use crate::{TrainError, WeightsError};
use std::io;
use std::path::{Path, PathBuf};

/// Why a curriculum does not go on.
#[derive(thiserror::Error)]
pub enum CurriculumError {
    /// It was stopped on request. Not a failure: run again, it goes on from there.
    #[error("stopped in stage `{stage}` after {epoch} of {epochs} epochs")]
    Stopped {
        /// The stage.
        stage: String,
        /// The last finished epoch.
        epoch: usize,
        /// The epochs of the stage.
        epochs: usize,
    },
    /// The training of a stage failed.
    #[error("stage `{stage}`: {source}")]
    Training {
        /// The stage.
        stage: String,
        /// What went wrong.
        source: Box<TrainError>,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file of weights cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The journal is not one.
    #[error(
        "{}: the file is empty or damaged; restore it, or remove the folder {} to train all stages \
         again",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    Journal {
        /// The file of the journal.
        path: PathBuf,
        /// Description of the fault.
        message: String,
    },
    /// The name of a stage is not one for a folder, or is taken.
    #[error("a stage cannot be named `{name}`: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// The journal tells of another stage in this place.
    #[error(
        "{}: stage number {number} was begun as {expected}, but is now {found}: a stage cannot be \
         renamed, moved or changed in length; start anew in another folder",
        path.display()
    )]
    OtherStage {
        /// The file of the journal.
        path: PathBuf,
        /// The place of the stage, from 1.
        number: usize,
        /// The stage of the journal.
        expected: String,
        /// The stage of this program.
        found: String,
    },
    /// No stage so far has left an artifact of that name.
    #[error("no stage so far has left a `{name}`, {known}")]
    UnknownArtifact {
        /// The name that was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A file that a stage has left is gone.
    #[error(
        "{}: the stage `{stage}` left its `{name}` in this file, which is not there; restore it, or \
         remove the folder {} to train all stages anew",
        path.display(),
        curriculum(path).display()
    )]
    MissingArtifact {
        /// The file.
        path: PathBuf,
        /// The stage that left it.
        stage: String,
        /// The name of the artifact.
        name: String,
    },
    /// A file is not the one that a stage has left.
    #[error(
        "{}: not the `{name}` that the stage `{stage}` left: the file is damaged or belongs to another \
         training, as its SHA-256 is {found}, but {expected} was expected; restore it, or remove the \
         folder {} to train all stages anew",
        path.display(),
        curriculum(path).display()
    )]
    OtherArtifact {
        /// The file.
        path: PathBuf,
        /// The stage that left it.
        stage: String,
        /// The name of the artifact.
        name: String,
        /// The SHA-256 that the journal has.
        expected: String,
        /// The SHA-256 of the file.
        found: String,
    },
    /// What a stage has left does not fit the module that it is loaded into.
    #[error(
        "{}: the `{name}` that the stage `{stage}` left does not fit here: {message}",
        path.display()
    )]
    Artifact {
        /// The file.
        path: PathBuf,
        /// The stage that left it.
        stage: String,
        /// The name of the artifact.
        name: String,
        /// What was expected and what was found.
        message: String,
    },
}

burn_distill_core::debug_as_display!(CurriculumError);

/// Returns the folder of a curriculum, given a file in the folder of one of its stages.
fn curriculum(artifact: &Path) -> &Path {
    artifact.ancestors().nth(2).unwrap_or(artifact)
}
