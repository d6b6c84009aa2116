use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// Error of an exported model that cannot be written or used.
#[derive(thiserror::Error)]
pub enum ModelError {
    /// A file of the model cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// The folder holds no exported model.
    #[error(
        "{}: no exported model, since there is no `model.json`: name a folder that `burn-distill \
         export` has written",
        path.display()
    )]
    NotFound {
        /// Path of the folder.
        path: PathBuf,
    },
    /// A file of the model is not as `model.json` or the network requires.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// Path of the file.
        path: PathBuf,
        /// Contents that were found and expected, and a remedy.
        message: String,
    },
    /// A network cannot be written in a format.
    #[error("{0}")]
    Network(String),
    /// An input does not fit the model.
    #[error("{0}")]
    Input(String),
}

burn_distill_core::debug_as_display!(ModelError);

impl ModelError {
    pub(super) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(super) fn invalid(path: impl AsRef<Path>, message: impl Display) -> Self {
        Self::Invalid {
            path: path.as_ref().to_path_buf(),
            message: message.to_string(),
        }
    }
}
