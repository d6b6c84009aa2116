use crate::{LossError, check};
use serde_json::{Map, Value};

/// A function that reads a value. Its error is the message of serde.
pub type ReadValue<'a> = &'a mut dyn FnMut(Value) -> Result<(), String>;

/// A table of values by key from which a loss is built.
///
/// A `serde_json::Map` is a table for programs. Recipes have another implementation, whose errors
/// contain the position in the file.
pub trait LossTable {
    /// Returns the keys.
    fn keys(&self) -> Vec<String>;

    /// Returns the value of a key.
    fn get(&self, key: &str) -> Option<Value>;

    /// Removes a key.
    fn remove(&mut self, key: &str);

    /// Returns the value of a key as text for an error message.
    fn described(&self, key: &str) -> String;

    /// Returns a table with the values of some keys. Each pair is a key and its name in the new
    /// table.
    fn part(&self, keys: &[(&str, &str)]) -> Box<dyn LossTable>;

    /// Reads a configuration: the default fields, replaced by the values of the table.
    ///
    /// # Errors
    ///
    /// Returns an error if the table has a key that is neither a field nor listed in `beside`, or
    /// if `read` fails.
    fn read(
        &self,
        defaults: Map<String, Value>,
        beside: &[&str],
        read: ReadValue<'_>,
    ) -> Result<(), LossError>;

    /// Reads the value of a key.
    ///
    /// # Errors
    ///
    /// Returns an error if `read` fails.
    fn read_value(&self, key: &str, read: ReadValue<'_>) -> Result<(), LossError>;
}

/// Replaces the default fields of a configuration by the values of a table.
///
/// # Errors
///
/// Returns an error in the style of serde if the table has a key that is neither a field nor listed
/// in `beside`.
pub fn overlaid(
    mut fields: Map<String, Value>,
    values: impl IntoIterator<Item = (String, Value)>,
    beside: &[&str],
) -> Result<Map<String, Value>, String> {
    for (key, value) in values {
        let Some(field) = fields.get_mut(&key) else {
            let known = fields.keys().map(String::as_str);
            let known = known.chain(beside.iter().copied());
            let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
            return Err(match known.as_slice() {
                [] => format!("unknown field `{key}`, there are no fields"),
                known => format!(
                    "unknown field `{key}`, expected one of {}",
                    known.join(", ")
                ),
            });
        };
        *field = value;
    }
    Ok(fields)
}

impl LossTable for Map<String, Value> {
    fn keys(&self) -> Vec<String> {
        Map::keys(self).cloned().collect()
    }

    fn get(&self, key: &str) -> Option<Value> {
        Map::get(self, key).cloned()
    }

    fn remove(&mut self, key: &str) {
        Map::remove(self, key);
    }

    fn described(&self, key: &str) -> String {
        match Map::get(self, key) {
            Some(value) => value.to_string(),
            None => "missing".into(),
        }
    }

    fn part(&self, keys: &[(&str, &str)]) -> Box<dyn LossTable> {
        let part: Self = keys
            .iter()
            .filter_map(|(key, name)| Some((name.to_string(), LossTable::get(self, key)?)))
            .collect();
        Box::new(part)
    }

    fn read(
        &self,
        defaults: Map<String, Value>,
        beside: &[&str],
        read: ReadValue<'_>,
    ) -> Result<(), LossError> {
        let fields = overlaid(defaults, self.clone(), beside);
        fields
            .and_then(|fields| read(Value::Object(fields)))
            .map_err(LossError::new)
    }

    fn read_value(&self, key: &str, read: ReadValue<'_>) -> Result<(), LossError> {
        let value = LossTable::get(self, key).unwrap_or_default();
        read(value).map_err(|error| LossError::of_key(key, error))
    }
}

/// A value that was removed from a table.
#[derive(Clone, Debug)]
pub struct TakenValue {
    /// Key of the value.
    pub key: String,
    /// Value.
    pub value: Value,
    /// Value as text for an error message.
    pub found: String,
}

impl TakenValue {
    /// Creates the error that another value is expected.
    pub fn refused(&self, expected: impl std::fmt::Display) -> LossError {
        check::ConfigError::new(&self.key, expected, &self.found).into()
    }
}
