use super::catch::catch;
use super::{Loss, LossClip, Scene};
use crate::recipe::configure::{configure, unknown};
use anyhow::{Context, Result, bail, ensure};
use burn_distill::core::{
    ChangingWeight, DynObjective, EveryView, Hard, Objective, WeightSchedule, initialize,
};
use burn_distill::strategy::ClippedTerms;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What a table says besides the kind.
pub struct Description<'a> {
    /// The keys that are left: those of the configuration.
    pub table: Table,
    /// The networks that the loss is between.
    pub scene: &'a Scene,
    /// The number of finished epochs at which a loss that is clipped as its authors do may have half
    /// the gradient of the others.
    pub clip_centre: usize,
    /// Whether a loss of this kind is clipped as its authors do where `clip` is not given.
    pub clip_by_default: bool,
    clip: Option<Clip>,
    name: Option<String>,
    weight: Option<WeightSchedule>,
    views: usize,
    /// The keys that a loss of this kind may have besides those of the configuration.
    known: Vec<&'static str>,
}

/// Value of the key `clip`.
enum Clip {
    /// `false`: not at all.
    Never,
    /// `true`: as the authors do who clip.
    Authors,
    /// A share of the gradient of the other terms.
    Share(WeightSchedule),
}

impl<'a> Description<'a> {
    /// Take apart what every loss may say.
    pub fn new(mut table: Table, scene: &'a Scene) -> Result<Self> {
        let weight = match table.remove("weight") {
            Some(weight) => Some(weight.try_into().context(
                "`weight` is a number or a schedule, \
                 such as { kind = \"linear\", from = 0.0, to = 1.0, epochs = 20 }",
            )?),
            None => None,
        };
        let clip = match table.remove("clip") {
            None => None,
            Some(Value::Boolean(false)) => Some(Clip::Never),
            Some(Value::Boolean(true)) => Some(Clip::Authors),
            Some(share) => Some(Clip::Share(share.try_into().context(
                "`clip` is true, a number or a schedule, \
                 such as { kind = \"sigmoid\", to = 1.0, centre = 0 }",
            )?)),
        };
        let name = match table.remove("name") {
            Some(Value::String(name)) => Some(name),
            Some(other) => bail!("`name` is a string, not {}", other.type_str()),
            None => None,
        };
        if let Some(temperature) = table.get("temperature") {
            let degrees = temperature
                .as_float()
                .or(temperature.as_integer().map(|t| t as f64));
            ensure!(
                degrees.is_none_or(|t| t > 0.0 && t.is_finite()),
                "`temperature` should be above 0, but is {temperature}"
            );
        }
        let mut loss = Self {
            table,
            scene,
            clip_centre: 0,
            clip_by_default: false,
            clip,
            name,
            weight,
            views: 1,
            known: vec!["kind", "name", "weight", "views", "clip"],
        };
        loss.views = loss.at_least_one("views")?.unwrap_or(1);
        Ok(loss)
    }

    /// A whole number from 1 that the table may give under that key.
    pub fn at_least_one(&mut self, key: &'static str) -> Result<Option<usize>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Integer(number)) if number > 0 => Ok(Some(number as usize)),
            Some(other) => bail!("`{key}` is a whole number from 1, not {other}"),
        }
    }

    /// The value of a key that is none of the configuration's.
    pub fn take(&mut self, key: &'static str) -> Option<Value> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.remove(key)
    }

    /// The number of views, for an objective that looks at all of them itself.
    pub fn take_views(&mut self) -> usize {
        std::mem::replace(&mut self.views, 1)
    }

    /// The term of the targets.
    pub fn hard(self) -> Result<Loss> {
        ensure!(
            self.name.is_none(),
            "the term of the targets has no other name"
        );
        if let Some(key) = self.table.keys().next() {
            return Err(unknown(
                key,
                ["kind", "weight", "views", "clip"].into_iter(),
            ));
        }
        self.named(Hard::TERM, 1.0, |_, weight| Hard::new(weight))
    }

    /// What the rest of the table makes of a configuration.
    pub fn configure<C: Serialize + DeserializeOwned>(&self, default: C) -> Result<C> {
        configure(&default, &self.table, &self.known)
    }

    /// What the rest of the table makes of a configuration, built.
    pub fn init<C, L>(&self, default: C, init: impl FnOnce(&C) -> L) -> Result<L>
    where
        C: Serialize + DeserializeOwned,
    {
        let config = self.configure(default)?;
        catch(|| init(&config))
    }

    /// Returns how the gradient of the loss is clipped, if it is.
    pub fn clip(&self) -> Result<Option<LossClip>> {
        let authors = || {
            WeightSchedule::Changing(ChangingWeight::Sigmoid {
                to: 1.0,
                centre: self.clip_centre,
            })
        };
        let share = match &self.clip {
            None if self.clip_by_default => authors(),
            None | Some(Clip::Never) => return Ok(None),
            Some(Clip::Share(share)) => share.clone(),
            Some(Clip::Authors) => authors(),
        };
        let share = catch(|| ClippedTerms::new(["any"], share).share)?;
        let is_asked_for = self.clip.is_some();
        Ok(Some(LossClip {
            share,
            is_asked_for,
        }))
    }

    /// The name and the weight that the table gives, or else these.
    pub fn name_and_weight(
        self,
        name: &str,
        weight: impl Into<WeightSchedule>,
    ) -> (String, WeightSchedule) {
        let name = self.name.unwrap_or_else(|| name.into());
        (name, self.weight.unwrap_or_else(|| weight.into()))
    }

    /// The objective under the name and with the weight that the table gives it, or else its own.
    pub fn named<O: Objective>(
        self,
        name: &str,
        weight: impl Into<WeightSchedule>,
        objective: impl FnOnce(String, WeightSchedule) -> O,
    ) -> Result<Loss> {
        let (views, clip) = (self.views, self.clip()?);
        let (name, weight) = self.name_and_weight(name, weight);
        let objective = catch(|| initialize(objective(name.clone(), weight)))?;
        let objective = match views {
            1 => DynObjective::new(objective),
            views => DynObjective::new(EveryView::new(objective, views)),
        };
        Ok(Loss {
            name,
            objective,
            clip,
            preparation: None,
            student: None,
        })
    }
}
