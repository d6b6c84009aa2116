//! Checks of the values of configurations.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// A configuration whose values can be checked.
///
/// The `init` of a configuration panics with the error of the check, as burn does. A program that
/// reads configurations from files checks them first and reports the error.
pub trait Check {
    /// Checks the values of the configuration. The default accepts all values.
    ///
    /// # Errors
    ///
    /// Returns an error about the first value out of its range.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Panics with the error of [`check`](Self::check), if there is one.
    fn assert_valid(&self) {
        if let Err(error) = self.check() {
            panic!("{error}");
        }
    }
}

/// Error about a value of a configuration.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` should be {expected}, but is {found}")]
pub struct ConfigError {
    /// Path of the key, such as `loss.0.temperature`.
    pub key: String,
    /// Description of the valid values.
    pub expected: String,
    /// Invalid value.
    pub found: String,
}

crate::debug_as_display!(ConfigError);

impl ConfigError {
    /// Creates an error from a key, a description of the valid values, and the value that was
    /// found.
    pub fn new(key: impl Display, expected: impl Display, found: impl Display) -> Self {
        Self {
            key: key.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// Adds the path of the table that contains the key.
    ///
    /// If the key is empty, the error is about the table itself.
    pub fn under(mut self, table: &str) -> Self {
        self.key = match self.key.as_str() {
            "" => table.to_string(),
            key => format!("{table}.{key}"),
        };
        self
    }
}

/// Largest weight of a term. Its products with a loss stay far below the largest `f32`.
const LARGEST_WEIGHT: f64 = 1e9;
/// Range of temperatures, whose squares are used as factors.
const TEMPERATURES: RangeInclusive<f64> = 1e-6..=1e9;

/// Checks a condition on a value.
///
/// # Errors
///
/// Returns an error if the condition is false.
pub fn ensure(
    condition: bool,
    key: impl Display,
    expected: impl Display,
    found: impl Display,
) -> Result<(), ConfigError> {
    match condition {
        true => Ok(()),
        false => Err(ConfigError::new(key, expected, found)),
    }
}

/// Checks that a value is finite, also as an `f32`, the precision of most tensors.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn finite(key: impl Display, value: f64) -> Result<(), ConfigError> {
    ensure((value as f32).is_finite(), key, "finite", value)
}

/// Checks that a value is finite and above 0, also as an `f32`.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn positive(key: impl Display, value: f64) -> Result<(), ConfigError> {
    let narrow = value as f32;
    let fits = narrow >= f32::MIN_POSITIVE && narrow.is_finite(); // This also rejects NaN
    ensure(fits, key, "finite and above 0", value)
}

/// Checks that a value is finite and not negative.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn not_negative(key: impl Display, value: f64) -> Result<(), ConfigError> {
    let fits = value >= 0.0 && (value as f32).is_finite(); // This also rejects NaN
    ensure(fits, key, "finite and not negative", value)
}

/// Checks that a value is a valid weight of a term: from 0 to 1e9.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn weight(key: impl Display, value: f64) -> Result<(), ConfigError> {
    in_range(key, value, 0.0..=LARGEST_WEIGHT)
}

/// Checks that a value is a valid softmax temperature: from 1e-6 to 1e9.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn temperature(key: impl Display, value: f64) -> Result<(), ConfigError> {
    let expected = format!(
        "above 0, from {:e} to {:e}",
        TEMPERATURES.start(),
        TEMPERATURES.end()
    );
    ensure(TEMPERATURES.contains(&value), key, expected, value)
}

/// Checks that names of classes are at least two different ones.
///
/// # Errors
///
/// Returns an error if there are fewer, or if a name is repeated.
pub fn class_names(key: impl Display, names: &[String]) -> Result<(), ConfigError> {
    at_least(&key, names.len(), 2)?;
    let mut known = HashSet::new();
    let differ = names.iter().all(|name| known.insert(name));
    ensure(differ, key, "different names", format_args!("{names:?}"))
}

/// Checks that a value lies in a range.
///
/// # Errors
///
/// Returns an error if it does not.
pub fn in_range(
    key: impl Display,
    value: f64,
    range: RangeInclusive<f64>,
) -> Result<(), ConfigError> {
    let (from, to) = (in_words(*range.start()), in_words(*range.end()));
    let expected = format!("from {from} to {to}");
    ensure(range.contains(&value), key, expected, value)
}

/// Checks that a value lies between two others and is not equal to either.
///
/// # Errors
///
/// Returns an error if it does not.
pub fn strictly_between(
    key: impl Display,
    value: f64,
    from: f64,
    to: f64,
) -> Result<(), ConfigError> {
    let expected = format!("above {} and below {}", in_words(from), in_words(to));
    ensure(value > from && value < to, key, expected, value)
}

/// Checks that a count is at least `least`.
///
/// # Errors
///
/// Returns an error if it is less.
pub fn at_least(key: impl Display, value: usize, least: usize) -> Result<(), ConfigError> {
    ensure(value >= least, key, format!("at least {least}"), value)
}

/// Checks that a count lies in a range.
///
/// # Errors
///
/// Returns an error if it does not.
pub fn count_in(
    key: impl Display,
    value: usize,
    range: RangeInclusive<usize>,
) -> Result<(), ConfigError> {
    let expected = format!("from {} to {}", range.start(), range.end());
    ensure(range.contains(&value), key, expected, value)
}

/// Checks that epochs are in ascending order.
///
/// # Errors
///
/// Returns an error if they are not.
pub fn ascending(key: impl Display, epochs: &[usize]) -> Result<(), ConfigError> {
    let ascending = epochs.windows(2).all(|pair| pair[0] < pair[1]);
    ensure(
        ascending,
        key,
        "in ascending order",
        format_args!("{epochs:?}"),
    )
}

/// Formats a number, with an exponent if it would be long otherwise.
fn in_words(value: f64) -> String {
    match value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        true => value.to_string(),
        false => format!("{value:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: Result<(), ConfigError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_key_its_range_and_its_value() {
        assert_eq!(
            text(weight("weight", -1.0)),
            "`weight` should be from 0 to 1e9, but is -1"
        );
        assert_eq!(
            text(at_least("heads", 0, 1)),
            "`heads` should be at least 1, but is 0"
        );
        assert_eq!(
            text(count_in("power", 99, 1..=64)),
            "`power` should be from 1 to 64, but is 99"
        );
        let nested = ConfigError::new("alpha", "finite", f64::NAN).under("loss.1");
        assert_eq!(
            nested.to_string(),
            "`loss.1.alpha` should be finite, but is NaN"
        );
    }

    #[test]
    fn values_that_are_not_finite_in_single_precision_are_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300] {
            for check in [
                finite("key", value),
                positive("key", value),
                not_negative("key", value),
                weight("key", value),
                temperature("key", value),
                in_range("key", value, 0.0..=1.0),
                strictly_between("key", value, 0.0, 1.0),
            ] {
                assert!(text(check).starts_with("`key` should be"), "{value}");
            }
        }
        // As an f32, this is zero, which is no valid divisor.
        assert!(positive("key", 1e-300).is_err());
    }

    #[test]
    fn the_ends_of_ranges_are_included_or_excluded() {
        assert!(finite("key", -3.0).is_ok());
        assert!(positive("key", 0.0).is_err());
        assert!(not_negative("key", 0.0).is_ok());
        assert!(not_negative("key", -1e-9).is_err());
        assert!(in_range("key", 1.0, 0.0..=1.0).is_ok());
        assert!(strictly_between("key", 1.0, 0.0, 1.0).is_err());
        assert!(strictly_between("key", 0.5, 0.0, 1.0).is_ok());
        assert!(weight("key", 0.0).is_ok());
        assert!(temperature("key", 0.0).is_err());
        assert!(temperature("key", 1.0).is_ok());
    }

    #[test]
    fn names_of_classes_are_two_different_ones_or_more() {
        let check = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            class_names("classes", &names)
        };
        assert_eq!(check(&["a", "b"]), Ok(()));
        assert_eq!(
            text(check(&["a"])),
            "`classes` should be at least 2, but is 1"
        );
        assert_eq!(
            text(check(&["a", "b", "a"])),
            "`classes` should be different names, but is [\"a\", \"b\", \"a\"]"
        );
    }

    struct Fraction(f64);

    impl Check for Fraction {
        fn check(&self) -> Result<(), ConfigError> {
            in_range("fraction", self.0, 0.0..=1.0)
        }
    }

    #[test]
    fn a_valid_configuration_does_not_panic() {
        Fraction(0.5).assert_valid();
    }

    #[test]
    #[should_panic(expected = "`fraction` should be from 0 to 1, but is 2")]
    fn an_invalid_configuration_panics_with_its_error() {
        Fraction(2.0).assert_valid();
    }
}
