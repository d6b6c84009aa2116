//! Keys that every table of a loss may have.

use super::LossClip;
use crate::fault::{Fault, Place};
use crate::numbers::MOST_VIEWS;
use crate::typed::typed_value;
use anyhow::Result;
use burn_distill::core::{ChangingWeight, Check, LossOptions, WeightSchedule};
use toml::{Table, Value};

/// Value of the key `clip`.
pub enum Clip {
    /// Missing: clipped if the authors of the loss clip.
    Default,
    /// `false`: not clipped.
    Never,
    /// `true`: clipped as by the authors.
    Authors,
    /// Clipped to a share of the gradient of the other terms.
    Share(WeightSchedule),
}

/// Key of a loss that chooses one of several teachers.
pub const OF_TEACHER: &str = "of_teacher";

/// Takes the keys that every loss may have out of a table. The choice between several teachers has
/// been taken before.
pub fn take_options(table: &mut Table) -> Result<(LossOptions, Clip)> {
    if table.contains_key(OF_TEACHER) {
        let text = "it chooses one of several trained teachers, but here are none to choose from: \
                    leave it out, or add teachers as `[[teacher.others]]`";
        return Err(Fault::other(OF_TEACHER, text).into());
    }
    let weight = table.remove("weight");
    let weight = weight
        .map(|weight| schedule("weight", weight))
        .transpose()?;
    let clip = match table.remove("clip") {
        None => Clip::Default,
        Some(Value::Boolean(false)) => Clip::Never,
        Some(Value::Boolean(true)) => Clip::Authors,
        Some(share @ (Value::Integer(_) | Value::Float(_) | Value::Table(_))) => {
            Clip::Share(schedule("clip", share)?)
        }
        Some(other) => {
            let expected = "true, false, a number or a schedule, \
                            such as { kind = \"sigmoid\", to = 1.0, center = 0 }";
            return Err(Fault::value("clip", expected, &other).into());
        }
    };
    let name = match table.remove("name") {
        Some(Value::String(name)) if is_name(&name) => Some(name),
        Some(other) => return Err(Fault::value("name", NAME, &other).into()),
        None => None,
    };
    let views = match table.remove("views") {
        None => 1,
        Some(value) => views(&value)?,
    };
    let options = LossOptions {
        name,
        weight,
        views,
    };
    Ok((options, clip))
}

fn views(value: &Value) -> Result<usize, Fault> {
    let count = value
        .as_integer()
        .and_then(|number| usize::try_from(number).ok());
    match count {
        Some(count) if (1..=MOST_VIEWS).contains(&count) => Ok(count),
        _ => {
            let expected = format!("a whole number from 1 to {MOST_VIEWS}");
            Err(Fault::value("views", expected, value))
        }
    }
}

impl Clip {
    /// Returns the clipping of the gradient of a loss, if it is clipped. By default, its share
    /// rises to half the size of the other gradients at the epoch `clipped_at`.
    pub fn of(self, clipped_at: Option<usize>) -> Option<LossClip> {
        let authors = || {
            WeightSchedule::Changing(ChangingWeight::Sigmoid {
                to: 1.0,
                center: clipped_at.unwrap_or(0),
            })
        };
        let is_asked_for = !matches!(self, Self::Default);
        let share = match self {
            Self::Default if clipped_at.is_some() => authors(),
            Self::Default | Self::Never => return None,
            Self::Share(share) => share,
            Self::Authors => authors(),
        };
        Some(LossClip {
            share,
            is_asked_for,
        })
    }
}

/// Description of a valid name of a term, which is shown in tables and names files.
const NAME: &str = "text of 1 to 60 characters, none of them a control character";

fn is_name(text: &str) -> bool {
    (1..=60).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Returns the schedule of a weight.
fn schedule(key: &'static str, value: Value) -> Result<WeightSchedule> {
    let schedule: WeightSchedule = typed_value(key, value)?;
    schedule.check().at(key)?;
    Ok(schedule)
}
