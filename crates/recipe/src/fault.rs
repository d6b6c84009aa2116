//! Faults of a recipe, each with its key.

use super::words::described;
use anyhow::Result;
use burn_distill::core::{ConfigError, nearest};
use std::fmt::{self, Display, Formatter};
use toml::Value;

/// A fault of a recipe with the path of its key, such as `loss.0.temperature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Path of the key; empty for the recipe as a whole.
    pub key: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Another value is expected.
    Value { expected: String, found: String },
    /// The key is unknown.
    Unknown { known: Vec<String> },
    /// The key is missing.
    Missing { expected: Option<String> },
    /// Any other fault, in words.
    Other(String),
}

impl Fault {
    /// Creates the fault of a wrong value.
    pub fn value(key: impl Display, expected: impl Display, found: &Value) -> Self {
        ConfigError::new(key, expected, described(found)).into()
    }

    /// Creates the fault of an unknown key.
    pub fn unknown<'a>(key: impl Display, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known = known.into_iter().map(str::to_string).collect();
        Self {
            key: key.to_string(),
            kind: Kind::Unknown { known },
        }
    }

    /// Creates the fault of a missing key.
    pub fn missing(key: impl Display, expected: Option<String>) -> Self {
        Self {
            key: key.to_string(),
            kind: Kind::Missing { expected },
        }
    }

    /// Creates any other fault from a text.
    pub fn other(key: impl Display, text: impl Display) -> Self {
        Self {
            key: key.to_string(),
            kind: Kind::Other(text.to_string()),
        }
    }

    /// Returns the fault with the path of the table that the key belongs to in front of it.
    pub fn under(mut self, place: &str) -> Self {
        self.key = joined(place, &self.key);
        self
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        let ConfigError {
            key,
            expected,
            found,
        } = error;
        let kind = Kind::Value { expected, found };
        Self { key, kind }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { key, kind } = self;
        match kind {
            Kind::Value { expected, found } => {
                write!(f, "`{key}` should be {expected}, but is {found}")
            }
            Kind::Unknown { known } => {
                write!(f, "unknown key `{key}`")?;
                let last = key.rsplit('.').next().unwrap_or(key);
                if let Some(name) = nearest(last, known.iter().map(String::as_str)) {
                    write!(f, ", did you mean `{name}`?")?;
                }
                match known.as_slice() {
                    [] => f.write_str(": there are none here"),
                    known => write!(f, "; the known ones are {}", known.join(", ")),
                }
            }
            Kind::Missing { expected } => {
                write!(f, "`{key}` is missing")?;
                match expected {
                    Some(expected) => write!(f, ": it should be {expected}"),
                    None => Ok(()),
                }
            }
            Kind::Other(text) if key.is_empty() => f.write_str(text),
            Kind::Other(text) => write!(f, "`{key}`: {text}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Returns the path of a key in a table.
pub fn joined(place: &str, key: &str) -> String {
    match (place, key) {
        ("", key) => key.to_string(),
        (place, "") => place.to_string(),
        (place, key) => format!("{place}.{key}"),
    }
}

/// Result whose error can be placed in the recipe.
pub trait Place<T> {
    /// Puts the path of a table in front of the key of an error, or in front of an error without a
    /// key.
    ///
    /// # Errors
    ///
    /// Returns the error of the result, with its place.
    fn at(self, place: &str) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> Place<T> for Result<T, E> {
    fn at(self, place: &str) -> Result<T> {
        self.map_err(|error| {
            let error = error.into();
            if let Some(fault) = error.downcast_ref::<Fault>() {
                return fault.clone().under(place).into();
            }
            if let Some(fault) = error.downcast_ref::<ConfigError>() {
                return Fault::from(fault.clone()).under(place).into();
            }
            error.context(place.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn the_path_of_a_key_grows_from_table_to_table() {
        let inner: Result<()> = Err(Fault::value("alpha", "a number", &"much".into()).into());
        let error = inner.at("loss.1").at("stage.0").unwrap_err();

        assert_eq!(
            error.to_string(),
            "`stage.0.loss.1.alpha` should be a number, but is the text \"much\""
        );
    }

    #[test]
    fn an_error_of_a_configuration_is_placed_alike() {
        let inner = Err::<(), _>(ConfigError::new("", "from 0 to 1", 2));
        let error = inner.at("weight").at("loss.0").unwrap_err();

        assert_eq!(
            error.to_string(),
            "`loss.0.weight` should be from 0 to 1, but is 2"
        );
    }

    #[test]
    fn an_error_about_no_key_has_its_place_before_it() {
        let error = Err::<(), _>(anyhow!("no tap")).at("loss.0").unwrap_err();

        assert_eq!(format!("{error:#}"), "loss.0: no tap");
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest() {
        let fault = Fault::unknown("loss.0.alpah", ["alpha", "beta"]);

        assert_eq!(
            fault.to_string(),
            "unknown key `loss.0.alpah`, did you mean `alpha`?; the known ones are alpha, beta"
        );
        assert_eq!(
            Fault::unknown("a", []).to_string(),
            "unknown key `a`: there are none here"
        );
    }
}
