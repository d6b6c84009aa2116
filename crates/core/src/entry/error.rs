use crate::{ConfigError, TapError, UnknownTap};
use std::error::Error;
use std::fmt::Display;

/// An error of a loss that is built from a table of values.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    /// A value that is not what it should be.
    #[error(transparent)]
    Value(#[from] ConfigError),
    /// An error in words.
    #[error("{}", in_words(key, text))]
    Text {
        /// The key that the error is about; empty for the loss as a whole.
        key: String,
        /// The error.
        text: String,
    },
    /// An error of the [table](crate::LossTable), of a type that its implementation knows.
    #[error(transparent)]
    Table(Box<dyn Error + Send + Sync>),
}

fn in_words(key: &str, text: &str) -> String {
    match key {
        "" => text.to_string(),
        key => format!("`{key}`: {text}"),
    }
}

impl LossError {
    /// Creates an error about the loss as a whole.
    pub fn new(text: impl Display) -> Self {
        Self::of_key("", text)
    }

    /// Creates an error about a key.
    pub fn of_key(key: impl Display, text: impl Display) -> Self {
        Self::Text {
            key: key.to_string(),
            text: text.to_string(),
        }
    }

    /// Returns the error with a text in front of it, unless it is about a key, which tells more.
    pub fn context(self, context: impl Display) -> Self {
        match self {
            Self::Text { key, text } if key.is_empty() => {
                Self::new(format_args!("{context}: {text}"))
            }
            other => other,
        }
    }
}

impl From<UnknownTap> for LossError {
    fn from(error: UnknownTap) -> Self {
        Self::new(error)
    }
}

impl From<TapError> for LossError {
    fn from(error: TapError) -> Self {
        Self::new(error)
    }
}
