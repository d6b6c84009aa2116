use crate::{TrainError, WeightsError};
use std::io;
use std::path::{Path, PathBuf};

/// The reason why a curriculum cannot continue.
#[derive(thiserror::Error)]
pub enum CurriculumError {
    /// The curriculum was stopped on request. This is not a failure: the next run continues from
    /// there.
    #[error("stopped in stage `{stage}` after {epoch} of {epochs} epochs")]
    Stopped {
        /// Stage.
        stage: String,
        /// Last finished epoch.
        epoch: usize,
        /// Number of epochs of the stage.
        epochs: usize,
    },
    /// The training of a stage failed.
    #[error("stage `{stage}`: {source}")]
    Training {
        /// Stage.
        stage: String,
        /// Error of the training.
        source: Box<TrainError>,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A file of weights cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The journal is empty or damaged.
    #[error(
        "{}: the file is empty or damaged; restore it, or remove the folder {} to train all stages \
         again",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    Journal {
        /// File of the journal.
        path: PathBuf,
        /// Description of the fault.
        message: String,
    },
    /// The name of a stage is not a valid name of a folder, or an earlier stage has it.
    #[error("a stage cannot be named `{name}`: {reason}")]
    Name {
        /// Name.
        name: String,
        /// Reason.
        reason: &'static str,
    },
    /// The journal has another stage at this position.
    #[error(
        "{}: stage number {number} was started as {expected}, but is now {found}: a stage cannot be \
         renamed, moved or changed in length; start again in another folder",
        path.display()
    )]
    OtherStage {
        /// File of the journal.
        path: PathBuf,
        /// Position of the stage, counted from 1.
        number: usize,
        /// Stage in the journal.
        expected: String,
        /// Stage of this program.
        found: String,
    },
    /// No stage so far has saved an artifact with this name.
    #[error("no stage so far has saved an artifact `{name}`, {known}")]
    UnknownArtifact {
        /// Name of the artifact to load.
        name: String,
        /// Description of the artifacts that exist.
        known: String,
    },
    /// The file of an artifact is missing.
    #[error(
        "{}: the artifact `{name}` of the stage `{stage}` is missing; restore it, or remove the folder \
         {} to train all stages again",
        path.display(),
        curriculum(path).display()
    )]
    MissingArtifact {
        /// Path of the file.
        path: PathBuf,
        /// Stage that saved it.
        stage: String,
        /// Name of the artifact.
        name: String,
    },
    /// The file of an artifact does not have the checksum in the journal.
    #[error(
        "{}: this is not the artifact `{name}` of the stage `{stage}`: the file is damaged or belongs \
         to another training, since its SHA-256 is {found}, but {expected} was expected; restore it, \
         or remove the folder {} to train all stages again",
        path.display(),
        curriculum(path).display()
    )]
    OtherArtifact {
        /// Path of the file.
        path: PathBuf,
        /// Stage that saved it.
        stage: String,
        /// Name of the artifact.
        name: String,
        /// SHA-256 in the journal.
        expected: String,
        /// SHA-256 of the file.
        found: String,
    },
    /// An artifact does not fit the module that it is loaded into.
    #[error(
        "{}: the artifact `{name}` of the stage `{stage}` does not fit this module: {message}",
        path.display()
    )]
    Artifact {
        /// Path of the file.
        path: PathBuf,
        /// Stage that saved it.
        stage: String,
        /// Name of the artifact.
        name: String,
        /// Description of what was expected and what was found.
        message: String,
    },
}

burn_distill_core::debug_as_display!(CurriculumError);

/// Returns the folder of a curriculum, given a file in the folder of one of its stages.
fn curriculum(artifact: &Path) -> &Path {
    artifact.ancestors().nth(2).unwrap_or(artifact)
}
