use crate::fault::Fault;
use crate::typed::{typed_by, typed_value_by};
use crate::words::described;
use anyhow::anyhow;
use burn_distill::core::{LossError, LossTable, ReadValue, overlaid};
use serde_json::{Map, Value};
use std::cell::RefCell;
use toml::Table;

/// Table of a recipe, for the builders of losses.
pub struct TomlTable(pub Table);

fn json(value: &toml::Value) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

impl LossTable for TomlTable {
    fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn get(&self, key: &str) -> Option<Value> {
        json(self.0.get(key)?).ok()
    }

    fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    fn described(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(value) => described(value),
            None => "missing".into(),
        }
    }

    fn part(&self, keys: &[(&str, &str)]) -> Box<dyn LossTable> {
        let part = keys.iter().filter_map(|(key, name)| {
            let value = self.0.get(*key)?;
            Some((name.to_string(), value.clone()))
        });
        Box::new(Self(part.collect()))
    }

    fn read(
        &self,
        defaults: Map<String, Value>,
        beside: &[&str],
        read: ReadValue<'_>,
    ) -> Result<(), LossError> {
        let read = RefCell::new(read);
        let fields = |table: &Table| {
            let values = table.iter().map(|(key, value)| {
                let value = json(value)?;
                Ok((key.clone(), value))
            });
            let values = values.collect::<Result<Vec<_>, String>>()?;
            let fields = overlaid(defaults.clone(), values, beside)?;
            (read.borrow_mut())(Value::Object(fields))
        };
        typed_by(&self.0, fields).map_err(of_table)
    }

    fn read_value(&self, key: &str, read: ReadValue<'_>) -> Result<(), LossError> {
        let read = RefCell::new(read);
        let value = self.0.get(key).cloned();
        let value = value.ok_or_else(|| of_table(Fault::missing(key, None)))?;
        typed_value_by(key, value, |value| (read.borrow_mut())(json(value)?)).map_err(of_table)
    }
}

fn of_table(fault: Fault) -> LossError {
    LossError::Table(Box::new(fault))
}

/// Returns the error of a loss with its key in the recipe.
pub fn placed(error: LossError) -> anyhow::Error {
    match error {
        LossError::Value(error) => error.into(),
        LossError::Text { key, text } if key.is_empty() => anyhow!(text),
        LossError::Text { key, text } => Fault::other(key, text).into(),
        LossError::Table(error) => match error.downcast::<Fault>() {
            Ok(fault) => (*fault).into(),
            Err(error) => anyhow!(error),
        },
    }
}
