use crate::{ConfigError, TapError, UnknownTap};
use std::error::Error;
use std::fmt::Display;

/// Error in building a loss from a table of values.
#[derive(thiserror::Error)]
pub enum LossError {
    /// A value is out of its range.
    #[error(transparent)]
    Value(#[from] ConfigError),
    /// Any other error, as a message.
    #[error("{}", in_words(key, text))]
    Text {
        /// Key of the value that causes the error; empty if the loss as a whole does.
        key: String,
        /// Message.
        text: String,
    },
    /// An error of the [table](crate::LossTable). Its type depends on the implementation of the
    /// table.
    #[error(transparent)]
    Table(Box<dyn Error + Send + Sync>),
}

crate::debug_as_display!(LossError);

fn in_words(key: &str, text: &str) -> String {
    match key {
        "" => text.to_string(),
        key => format!("`{key}`: {text}"),
    }
}

impl LossError {
    /// Creates an error about the loss as a whole from a message.
    pub fn new(text: impl Display) -> Self {
        Self::of_key("", text)
    }

    /// Creates an error about the value of a key from a message.
    pub fn of_key(key: impl Display, text: impl Display) -> Self {
        Self::Text {
            key: key.to_string(),
            text: text.to_string(),
        }
    }

    /// Adds a text in front of the message, unless the error is about a key, which is more
    /// specific.
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
