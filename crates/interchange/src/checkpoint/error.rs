use super::format::CheckpointFormat;
use burn_distill_core::WeightsError;
use std::io;
use std::path::{Path, PathBuf};

/// Error of a checkpoint that cannot be read.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file does not exist.
    #[error("{}: file not found", path.display())]
    NotFound {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// The format of the file is not supported.
    #[error(
        "{}: {found}, but a checkpoint of PyTorch (.pth, .pt, .bin), a .safetensors file or a .bpk \
         file is expected",
        path.display()
    )]
    Unknown {
        /// Path of the file.
        path: PathBuf,
        /// Description of the contents.
        found: String,
    },
    /// The file is damaged, incomplete or not well-formed.
    #[error("{}: not a whole {format} file: {message}", path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// Format of the file.
        format: CheckpointFormat,
        /// Description of the fault, with its place.
        message: String,
    },
    /// The file is well-formed, but is refused.
    #[error("{}: this {format} file is not read: {message}", path.display())]
    Refused {
        /// Path of the file.
        path: PathBuf,
        /// Format of the file.
        format: CheckpointFormat,
        /// Reason, and what to do.
        message: String,
    },
    /// A tensor cannot be read.
    #[error("{}: tensor `{tensor}`: {message}", path.display())]
    Tensor {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Reason.
        message: String,
    },
    /// A file of weights in burn's format cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

burn_distill_core::debug_as_display!(CheckpointError);

impl CheckpointError {
    /// Creates the error about a file that the operating system cannot read.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            _ => Self::Io { path, source },
        }
    }
}

/// Fault in a file, without the path of the file.
pub(super) enum Fault {
    /// The contents are damaged or incomplete.
    Malformed(String),
    /// The contents are refused.
    Refused(String),
    /// The operating system cannot read the file.
    Io(io::Error),
}

impl Fault {
    /// Creates the error about contents that are damaged or incomplete.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed(message.into())
    }

    /// Creates the error about contents that are refused.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }

    /// Returns the error with the file.
    pub(super) fn of(self, path: &Path, format: CheckpointFormat) -> CheckpointError {
        let path = path.to_path_buf();
        match self {
            Self::Malformed(message) => CheckpointError::Malformed {
                path,
                format,
                message,
            },
            Self::Refused(message) => CheckpointError::Refused {
                path,
                format,
                message,
            },
            Self::Io(source) => CheckpointError::io(&path, source),
        }
    }
}

impl From<io::Error> for Fault {
    /// A file that ends early is damaged; every other error is that of the operating system.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::malformed("the file ends early"),
            _ => Self::Io(error),
        }
    }
}
