//! Terms of the authors of a strategy, for a recipe without losses.

use burn_distill::core::{CrossEntropyObjective, RampInterval};
use serde::Serialize;
use toml::{Table, Value};

pub const SOFT_TARGET: &str = "soft-target";
pub const SOFT_CROSS_ENTROPY: &str = "soft-cross-entropy";
pub const VIRTUAL_TEACHER: &str = "virtual-teacher";

/// Returns the table of the cross-entropy with the labels.
pub fn cross_entropy(weight: impl Serialize) -> Table {
    term(CrossEntropyObjective::TERM, weight)
}

/// Returns the table of a loss with a temperature.
pub fn soft(kind: &str, temperature: f64, weight: impl Serialize) -> Table {
    let mut term = term(kind, weight);
    term.insert("temperature".into(), temperature.into());
    term
}

/// Returns the table of a loss with its defaults.
pub fn named(kind: &str, weight: impl Serialize) -> Table {
    term(kind, weight)
}

fn term(kind: &str, weight: impl Serialize) -> Table {
    let weight = Value::try_from(weight).expect("A weight is written as TOML.");
    let entries = [("kind", kind.into()), ("weight", weight)];
    entries
        .map(|(key, value)| (key.into(), value))
        .into_iter()
        .collect()
}

/// Returns the tables of the cross-entropy and of a loss with a temperature. Takes the temperature
/// and the weight from the options, or else these defaults.
pub fn cross_entropy_and_soft(
    kind: &str,
    (temperature, weight): (&mut Option<f64>, &mut Option<f64>),
    defaults: (f64, f64),
) -> Vec<Table> {
    let temperature = temperature.take().unwrap_or(defaults.0);
    let weight = weight.take().unwrap_or(defaults.1);
    vec![cross_entropy(1.0), soft(kind, temperature, weight)]
}

/// Returns the name of the temperature or of the weight, if one of them is given.
pub fn soft_option(temperature: &Option<f64>, weight: &Option<f64>) -> Option<&'static str> {
    let temperature = temperature.map(|_| "temperature");
    temperature.or(weight.map(|_| "weight"))
}

/// Returns the name of an option of a ramp, if one is given.
pub fn ramp_option(
    epochs: &Option<usize>,
    interval: &Option<RampInterval>,
) -> Option<&'static str> {
    let epochs = epochs.map(|_| "ramp_epochs");
    epochs.or(interval.map(|_| "ramp_interval"))
}
