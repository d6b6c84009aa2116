//! Ranges of the numbers of a recipe.

use super::fault::{Fault, joined};
use toml::Value;

/// Largest number of epochs of a training: more are surely a mistake.
pub const MOST_EPOCHS: usize = 1_000_000;
/// Largest number of samples of a batch.
pub const MOST_SAMPLES: usize = 1_000_000;
/// Largest number of views of a sample, or of networks that are trained together, since each takes
/// memory.
pub const MOST_VIEWS: usize = 64;

/// Checks that every number of a table is finite in single precision, also those of optional keys:
/// a `nan` is not the absence of a value.
pub fn check_finite(value: &Value, place: &str) -> Result<(), Fault> {
    match value {
        Value::Float(number) if !number.is_finite() => {
            Err(Fault::value(place, "a finite number", value))
        }
        Value::Float(number) if !(*number as f32).is_finite() => Err(Fault::value(
            place,
            format_args!("from {:e} to {:e}", f32::MIN, f32::MAX),
            value,
        )),
        Value::Table(table) => table
            .iter()
            .try_for_each(|(key, value)| check_finite(value, &joined(place, key))),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| check_finite(value, &joined(place, &index.to_string()))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let table: toml::Table = text.parse().unwrap();
        check_finite(&Value::Table(table), "")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn numbers_that_no_tensor_holds_are_refused_wherever_they_stand() {
        assert_eq!(
            error("a = 1\nb = nan"),
            "`b` should be a finite number, but is nan"
        );
        assert!(error("a = { b = [{ c = inf }] }").contains("`a.b.0.c`"));
        assert!(error("a = [1.0, -1e300]").contains("`a.1` should be from -3.4"));
    }
}
