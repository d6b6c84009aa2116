use super::context::LossContext;
use super::{BuiltLoss, BuiltObjective, LossError, LossOptions, LossTable, TakenValue};
use crate::{
    Check, ConfigError, DynObjective, EveryView, Input, Knowledge, LossTerm, NamedLoss, Objective,
    WeightSchedule, Weighted, initialize,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Builder of one term of a loss, from a table of values and the networks that the loss compares.
///
/// A key that is [taken](Self::take) out of the table is not part of the configuration. An unknown
/// key is an error that lists all known keys.
pub struct LossBuilder<'a, I: Input> {
    contexts: &'a [LossContext<I>],
    table: Box<dyn LossTable>,
    name: Option<String>,
    weight: Option<WeightSchedule>,
    default_weight: WeightSchedule,
    views: usize,
    clipped_at: Option<usize>,
    /// Keys that a table of this loss may have besides the fields of the configuration.
    known: Vec<&'static str>,
}

impl<'a, I: Input> LossBuilder<'a, I> {
    pub(super) fn new(
        options: LossOptions,
        default_weight: WeightSchedule,
        table: Box<dyn LossTable>,
        contexts: &'a [LossContext<I>],
    ) -> Self {
        Self {
            contexts,
            table,
            name: options.name,
            weight: options.weight,
            default_weight,
            views: options.views.max(1),
            clipped_at: None,
            known: vec!["kind", "name", "weight", "views", "clip"],
        }
    }

    /// Returns the context of the student and its teacher, or the first of several teachers.
    pub fn context(&self) -> &'a LossContext<I> {
        &self.contexts[0]
    }

    /// Returns the contexts of the student with each of its teachers.
    pub fn contexts(&self) -> &'a [LossContext<I>] {
        self.contexts
    }

    /// Sets the default weight, for a loss whose default weight depends on its configuration.
    pub fn set_default_weight(&mut self, weight: impl Into<WeightSchedule>) {
        self.default_weight = weight.into();
    }

    /// Declares that the gradient of the loss is clipped by default. After `epochs` finished
    /// epochs, it may have half the size of the gradient of the other losses.
    pub fn clip_at(&mut self, epochs: usize) {
        self.clipped_at = Some(epochs);
    }

    /// Returns whether the table has a key.
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Returns the value of a key without removing it from the table.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.table.get(key)
    }

    /// Removes a key that is not part of the configuration from the table and returns its value.
    pub fn take(&mut self, key: &'static str) -> Option<TakenValue> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let value = self.table.get(key)?;
        let found = self.table.described(key);
        self.table.remove(key);
        Some(TakenValue {
            key: key.to_string(),
            value,
            found,
        })
    }

    /// Removes a key from the table and deserializes its value.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is of another type.
    pub fn take_typed<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, LossError> {
        let mut typed = None;
        if self.has(key) {
            self.table.read_value(key, &mut |value| {
                typed = Some(serde_json::from_value(value).map_err(|error| error.to_string())?);
                Ok(())
            })?;
        }
        self.take(key);
        Ok(typed)
    }

    /// Checks the type of the value of a key, if there is one, without removing it from the table.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is of another type.
    pub fn check_typed<T: DeserializeOwned>(&self, key: &'static str) -> Result<(), LossError> {
        match self.has(key) {
            false => Ok(()),
            true => self.table.read_value(key, &mut |value| {
                let typed = serde_json::from_value::<T>(value);
                typed.map(|_| ()).map_err(|error| error.to_string())
            }),
        }
    }

    /// Removes a key from the table and returns its value as an integer from 1 to `most`.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is not such a number.
    pub fn count(&mut self, key: &'static str, most: usize) -> Result<Option<usize>, LossError> {
        let Some(taken) = self.take(key) else {
            return Ok(None);
        };
        let count = taken.value.as_u64();
        match count.and_then(|count| usize::try_from(count).ok()) {
            Some(count) if (1..=most).contains(&count) => Ok(Some(count)),
            _ => Err(taken.refused(format_args!("a whole number from 1 to {most}"))),
        }
    }

    /// Removes a key from the table and returns its value as a boolean, `false` if the key is
    /// missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is not a boolean.
    pub fn flag(&mut self, key: &'static str) -> Result<bool, LossError> {
        match self.take(key) {
            None => Ok(false),
            Some(taken) => match taken.value {
                Value::Bool(flag) => Ok(flag),
                _ => Err(taken.refused("true or false")),
            },
        }
    }

    /// Returns the number of views and resets it to 1, for a term that uses all views itself.
    pub fn take_views(&mut self) -> usize {
        std::mem::replace(&mut self.views, 1)
    }

    /// Returns the configuration `default` with the values of the table, after a check.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is of another type or out of its range, or if the table has an
    /// unknown key.
    pub fn configure<C>(&self, default: C) -> Result<C, LossError>
    where
        C: Serialize + DeserializeOwned + Check,
    {
        read_config(self.table.as_ref(), default, &self.known)
    }

    /// Removes some keys from the table and returns a table with their values. Each pair is a key
    /// and its name in the new table.
    pub fn take_part(&mut self, keys: &[(&'static str, &'static str)]) -> Box<dyn LossTable> {
        let part = self.table.part(keys);
        for (key, _) in keys {
            self.take(key);
        }
        part
    }

    /// Checks that the table has only the given keys.
    ///
    /// # Errors
    ///
    /// Returns an error if it has another key.
    pub fn only(&self, keys: &[&str]) -> Result<(), LossError> {
        self.table.read(Default::default(), keys, &mut |_| Ok(()))
    }

    /// Returns the name of the term in the table, if there is one.
    pub fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Builds the objective of a term with the name and the weight in the table, or else with the
    /// name of the term and the default weight.
    ///
    /// # Errors
    ///
    /// Never returns an error. The `Result` is a convenience for functions that return it.
    pub fn term<L: LossTerm>(self, term: L) -> Result<BuiltLoss<I>, LossError> {
        let name = term.term_name();
        self.objective(&name, |name, weight| {
            Weighted::of(term, weight).with_name(name)
        })
    }

    /// Builds an objective with the name and the weight in the table, or else with `name` and the
    /// default weight.
    ///
    /// # Errors
    ///
    /// Never returns an error. The `Result` is a convenience for functions that return it.
    pub fn objective<O: Objective>(
        self,
        name: &str,
        objective: impl FnOnce(String, WeightSchedule) -> O,
    ) -> Result<BuiltLoss<I>, LossError> {
        let name = self.name.unwrap_or_else(|| name.into());
        let weight = self.weight.unwrap_or(self.default_weight);
        let objective = initialize(objective(name.clone(), weight));
        let objective = match self.views {
            1 => DynObjective::new(objective),
            views => DynObjective::new(EveryView::new(objective, views)),
        };
        Ok(BuiltLoss {
            name,
            objective: BuiltObjective::One(objective),
            clipped_at: self.clipped_at,
            preparation: None,
            student: None,
        })
    }

    /// Builds the objective of a term for all teachers at once, with the name and the weight in the
    /// table, or else with the name of the term and the default weight.
    ///
    /// # Errors
    ///
    /// Never returns an error. The `Result` is a convenience for functions that return it.
    pub fn joint_term<L>(self, term: L) -> Result<BuiltLoss<I>, LossError>
    where
        L: NamedLoss + LossTerm<Knowledge, Vec<Knowledge>>,
    {
        let name = self.name.unwrap_or_else(|| term.term_name());
        let weight = self.weight.unwrap_or(self.default_weight);
        let objective = initialize(Weighted::of(term, weight).with_name(name.clone()));
        Ok(BuiltLoss {
            name,
            objective: BuiltObjective::All(DynObjective::new(objective)),
            clipped_at: self.clipped_at,
            preparation: None,
            student: None,
        })
    }
}

/// Returns the configuration `default` with the values of a table, after a check.
///
/// # Errors
///
/// Returns an error if a value is of another type or out of its range, or if the table has a key
/// that is neither a field nor listed in `beside`.
pub fn read_config<C>(table: &dyn LossTable, default: C, beside: &[&str]) -> Result<C, LossError>
where
    C: Serialize + DeserializeOwned + Check,
{
    let Ok(Value::Object(fields)) = serde_json::to_value(&default) else {
        return Err(LossError::new(
            "the configuration of a loss should be a table of fields",
        ));
    };
    let mut config = None;
    table.read(fields, beside, &mut |fields| {
        config = Some(serde_json::from_value(fields).map_err(|error| error.to_string())?);
        Ok(())
    })?;
    let config: C = config
        .ok_or_else(|| LossError::new("the table did not pass its values to the configuration"))?;
    config
        .check()
        .map_err(|error: ConfigError| LossError::from(error))?;
    Ok(config)
}
