use super::catch::catch;
use super::{Loss, LossClip, Scene};
use crate::configure::configure;
use crate::fault::{Fault, Place};
use crate::numbers::MOST_VIEWS;
use crate::typed::typed_value;
use anyhow::{Result, ensure};
use burn_distill::core::{
    ChangingWeight, Check, DynObjective, EveryView, Hard, LossTerm, Objective, WeightSchedule,
    Weighted, initialize,
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
        let weight = table.remove("weight");
        let weight = weight
            .map(|weight| schedule("weight", weight))
            .transpose()?;
        let clip = match table.remove("clip") {
            None => None,
            Some(Value::Boolean(false)) => Some(Clip::Never),
            Some(Value::Boolean(true)) => Some(Clip::Authors),
            Some(share @ (Value::Integer(_) | Value::Float(_) | Value::Table(_))) => {
                Some(Clip::Share(schedule("clip", share)?))
            }
            Some(other) => {
                let expected = "true, false, a number or a schedule, \
                                such as { kind = \"sigmoid\", to = 1.0, centre = 0 }";
                return Err(Fault::value("clip", expected, &other).into());
            }
        };
        let name = match table.remove("name") {
            Some(Value::String(name)) if is_name(&name) => Some(name),
            Some(other) => return Err(Fault::value("name", NAME, &other).into()),
            None => None,
        };
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
        loss.views = loss.count("views", MOST_VIEWS)?.unwrap_or(1);
        Ok(loss)
    }

    /// A whole number from 1 to `most` that the table may give under that key.
    pub fn count(&mut self, key: &'static str, most: usize) -> Result<Option<usize>, Fault> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let count = value
            .as_integer()
            .and_then(|number| usize::try_from(number).ok());
        match count {
            Some(count) if (1..=most).contains(&count) => Ok(Some(count)),
            _ => {
                let expected = format!("a whole number from 1 to {most}");
                Err(Fault::value(key, expected, &value))
            }
        }
    }

    /// Whether the table says `true` under that key.
    pub fn flag(&mut self, key: &'static str) -> Result<bool, Fault> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Boolean(flag)) => Ok(flag),
            Some(other) => Err(Fault::value(key, "true or false", &other)),
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
            Fault::other(
                "name",
                "the term of the targets has no other name: leave it out"
            )
        );
        if let Some(key) = self.table.keys().next() {
            return Err(Fault::unknown(key, ["kind", "weight", "views", "clip"]).into());
        }
        self.named(Hard::TERM, 1.0, |_, weight| Hard::new(weight))
    }

    /// What the rest of the table makes of a configuration.
    pub fn configure<C: Serialize + DeserializeOwned + Check>(
        &self,
        default: C,
    ) -> Result<C, Fault> {
        configure(&default, &self.table, &self.known)
    }

    /// What the rest of the table makes of a configuration, built.
    pub fn init<C, L>(&self, default: C, init: impl FnOnce(&C) -> L) -> Result<L>
    where
        C: Serialize + DeserializeOwned + Check,
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

    /// Creates the objective of a term, under the name and with the weight that the table gives it, or else its
    /// own name and this weight.
    pub fn term<L: LossTerm>(self, term: L, weight: impl Into<WeightSchedule>) -> Result<Loss> {
        let name = term.term_name();
        self.named(&name, weight, |name, weight| {
            Weighted::of(term, weight).with_name(name)
        })
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

/// The names of terms, which stand in tables and names of files.
const NAME: &str = "text of 1 to 60 characters, none of them a control character";

fn is_name(text: &str) -> bool {
    (1..=60).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The schedule of a weight.
fn schedule(key: &'static str, value: Value) -> Result<WeightSchedule> {
    let schedule: WeightSchedule = typed_value(key, value)?;
    schedule.check().at(key)?;
    Ok(schedule)
}
