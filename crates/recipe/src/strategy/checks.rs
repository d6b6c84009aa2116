//! Ranges of options of several strategies.

use crate::numbers::MOST_EPOCHS;
use burn_distill::core::{Check, ConfigError, check};

/// Checks a temperature and a weight, where they are given.
pub fn soft(temperature: Option<f64>, weight: Option<f64>) -> Result<(), ConfigError> {
    optional(temperature, |value| {
        check::temperature("temperature", value)
    })?;
    optional(weight, |value| check::weight("weight", value))
}

/// Checks a weight from 0 to 1. The weight of the cross-entropy with the labels is 1 minus it.
pub fn rest_of_one(weight: Option<f64>) -> Result<(), ConfigError> {
    optional(weight, |value| {
        check::ensure(
            (0.0..=1.0).contains(&value),
            "weight",
            "from 0 to 1 (the weight of the labels is 1 minus it)",
            value,
        )
    })
}

/// Checks the number of epochs of a ramp.
pub fn ramp(epochs: Option<usize>) -> Result<(), ConfigError> {
    optional(epochs, |epochs| {
        check::count_in("ramp_epochs", epochs, 0..=MOST_EPOCHS)
    })
}

/// Checks a value where it is given.
pub fn optional<T>(
    value: Option<T>,
    check: impl FnOnce(T) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    value.map_or(Ok(()), check)
}

/// Checks a configuration in a table, whose name is put in front of the key of an error.
pub fn under(place: &str, config: &impl Check) -> Result<(), ConfigError> {
    config.check().map_err(|error| error.under(place))
}
