use crate::ClassMapError;
use burn_distill_core::ConfigError;
use std::io;
use std::path::{Path, PathBuf};

/// Error of a network in an ONNX file.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file is not an ONNX model, or its contents contradict each other.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// Expected and found contents, in a sentence.
        reason: String,
    },
    /// The file holds a model that cannot be run.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// Path of the file.
        path: PathBuf,
        /// Node and operator, and what to do, in a sentence.
        reason: String,
    },
    /// The model does not fit the data or the configuration.
    #[error("{}: {reason}", path.display())]
    Mismatch {
        /// Path of the file.
        path: PathBuf,
        /// Expected and found values, and what to do, in a sentence.
        reason: String,
    },
    /// A value of the configuration is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The classes of the network are not those of the data.
    #[error("{}: {source}", path.display())]
    Classes {
        /// Path of the file.
        path: PathBuf,
        /// Error of the mapping.
        source: ClassMapError,
    },
}

burn_distill_core::debug_as_display!(OnnxError);

impl OnnxError {
    pub(super) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.into(),
            reason: reason.into(),
        }
    }

    pub(super) fn unsupported(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.into(),
            reason: reason.into(),
        }
    }

    pub(super) fn mismatch(path: &Path, reason: impl Into<String>) -> Self {
        Self::Mismatch {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
