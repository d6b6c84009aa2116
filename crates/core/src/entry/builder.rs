use super::context::LossContext;
use super::{BuiltLoss, BuiltObjective, LossError, LossOptions, LossTable, TakenValue};
use crate::{
    Check, ConfigError, DynObjective, EveryView, Input, Knowledge, LossTerm, NamedLoss, Objective,
    WeightSchedule, Weighted, initialize,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Builds one term of a loss from a table of values and the networks that it is between.
///
/// A key that is [taken](Self::take) out of the table is none of the configuration. An unknown key is refused,
/// with all keys that there are.
pub struct LossBuilder<'a, I: Input> {
    contexts: &'a [LossContext<I>],
    table: Box<dyn LossTable>,
    name: Option<String>,
    weight: Option<WeightSchedule>,
    default_weight: WeightSchedule,
    views: usize,
    clipped_at: Option<usize>,
    /// The keys that a loss of this kind may have besides those of the configuration.
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

    /// Returns the student and its teacher, the first of several.
    pub fn context(&self) -> &'a LossContext<I> {
        &self.contexts[0]
    }

    /// Returns the student beside each of its teachers.
    pub fn contexts(&self) -> &'a [LossContext<I>] {
        self.contexts
    }

    /// Sets the weight of a table that gives none, for a loss whose default depends on its configuration.
    pub fn set_default_weight(&mut self, weight: impl Into<WeightSchedule>) {
        self.default_weight = weight.into();
    }

    /// Declares that the gradient of the loss is clipped unless the table says otherwise, and may have half
    /// the size of the others after so many epochs.
    pub fn clip_at(&mut self, epochs: usize) {
        self.clipped_at = Some(epochs);
    }

    /// Returns whether the table has a key.
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Returns the value of a key, which stays in the table.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.table.get(key)
    }

    /// Takes the value of a key that is none of the configuration's out of the table.
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

    /// Takes a value that serde reads out of the table.
    ///
    /// # Errors
    ///
    /// Returns an error if it is of another type.
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

    /// Checks that serde reads the value of a key, if there is one. It stays in the table.
    ///
    /// # Errors
    ///
    /// Returns an error if it is of another type.
    pub fn check_typed<T: DeserializeOwned>(&self, key: &'static str) -> Result<(), LossError> {
        match self.has(key) {
            false => Ok(()),
            true => self.table.read_value(key, &mut |value| {
                let typed = serde_json::from_value::<T>(value);
                typed.map(|_| ()).map_err(|error| error.to_string())
            }),
        }
    }

    /// Takes a whole number from 1 to `most` out of the table.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is none.
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

    /// Takes a truth value out of the table; a key that is missing is false.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is none.
    pub fn flag(&mut self, key: &'static str) -> Result<bool, LossError> {
        match self.take(key) {
            None => Ok(false),
            Some(taken) => match taken.value {
                Value::Bool(flag) => Ok(flag),
                _ => Err(taken.refused("true or false")),
            },
        }
    }

    /// Returns the number of views, for a term that looks at all of them itself.
    pub fn take_views(&mut self) -> usize {
        std::mem::replace(&mut self.views, 1)
    }

    /// Returns the configuration `default` with the values of the table in it, checked.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is of another type or out of its range, or if the table has a key that
    /// is no field and was not taken.
    pub fn configure<C>(&self, default: C) -> Result<C, LossError>
    where
        C: Serialize + DeserializeOwned + Check,
    {
        read_config(self.table.as_ref(), default, &self.known)
    }

    /// Takes some keys out of the table, each under a second name, and returns the configuration `default`
    /// with their values in it, checked.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is of another type or out of its range.
    pub fn take_part(&mut self, keys: &[(&'static str, &'static str)]) -> Box<dyn LossTable> {
        let part = self.table.part(keys);
        for (key, _) in keys {
            self.take(key);
        }
        part
    }

    /// Checks that the table has no other keys than these.
    ///
    /// # Errors
    ///
    /// Returns an error if it has one.
    pub fn only(&self, keys: &[&str]) -> Result<(), LossError> {
        self.table.read(Default::default(), keys, &mut |_| Ok(()))
    }

    /// Returns the name that the table gives the term.
    pub fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Builds the objective of a term, under the name and with the weight that the table gives it, or else
    /// under its own name with the default weight.
    ///
    /// # Errors
    ///
    /// Returns none: a result saves the builders of losses an `Ok`.
    pub fn term<L: LossTerm>(self, term: L) -> Result<BuiltLoss<I>, LossError> {
        let name = term.term_name();
        self.objective(&name, |name, weight| {
            Weighted::of(term, weight).with_name(name)
        })
    }

    /// Builds an objective, under the name and with the weight that the table gives it, or else under this
    /// name with the default weight.
    ///
    /// # Errors
    ///
    /// Returns none: a result saves the builders of losses an `Ok`.
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

    /// Builds the objective of a term against all teachers at once, under the name and with the weight that
    /// the table gives it, or else under its own name with the default weight.
    ///
    /// # Errors
    ///
    /// Returns none: a result saves the builders of losses an `Ok`.
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

/// Returns the configuration `default` with the values of a table in it, checked.
///
/// # Errors
///
/// Returns an error if a value is of another type or out of its range, or if the table has a key that is
/// neither a field nor one of those `beside` them.
pub fn read_config<C>(table: &dyn LossTable, default: C, beside: &[&str]) -> Result<C, LossError>
where
    C: Serialize + DeserializeOwned + Check,
{
    let Ok(Value::Object(fields)) = serde_json::to_value(&default) else {
        return Err(LossError::new("a configuration is a table"));
    };
    let mut config = None;
    table.read(fields, beside, &mut |fields| {
        config = Some(serde_json::from_value(fields).map_err(|error| error.to_string())?);
        Ok(())
    })?;
    let config: C = config.ok_or_else(|| LossError::new("the table was not read"))?;
    config
        .check()
        .map_err(|error: ConfigError| LossError::from(error))?;
    Ok(config)
}
