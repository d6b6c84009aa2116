//! The ranges of the numbers of strategies.

use super::StrategyRecipe;
use crate::Recipe;
use crate::fault::Place;
use crate::numbers::{MOST_EPOCHS, MOST_VIEWS};
use anyhow::Result;
use burn_distill::core::{Check, ConfigError, check};

/// Checks the numbers of the strategy of a recipe, before terms are made of them.
pub fn check_numbers(recipe: &Recipe) -> Result<()> {
    recipe.strategy.check().at("strategy")
}

impl Check for StrategyRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Offline {} => Ok(()),
            Self::Mutual(options) => soft(options.temperature, options.weight),
            Self::AdversarialFeatures(options) => {
                soft(options.temperature, options.weight)?;
                under("game", &options.game.0)
            }
            Self::Collaborative(options) => {
                soft(options.temperature, None)?;
                rest_of_one(options.weight)
            }
            Self::NativeEnsemble(options) => {
                check::count_in("branches", options.branches, 2..=MOST_VIEWS)?;
                soft(options.temperature, None)?;
                ramp(options.ramp_epochs)
            }
            Self::GroupLeader(options) => {
                soft(Some(options.temperature), None)?;
                ramp(Some(options.ramp_epochs))
            }
            Self::Codistillation(options) => {
                check::at_least("period", options.period, 1)?;
                soft(options.temperature, options.weight)
            }
            Self::Byot(options) => under("exits", &options.exits.0),
            Self::SdDropout(options) => options.0.check(),
            Self::TfKd(options) => {
                soft(options.temperature, None)?;
                rest_of_one(options.weight)?;
                optional(options.multiplier, |value| {
                    check::weight("multiplier", value)
                })
            }
            Self::CsKd(options) | Self::Dlb(options) => soft(options.temperature, options.weight),
            Self::PsKd(options) => rest_of_one(options.weight),
            Self::MeanTeacher(options) => {
                check::in_range("decay", options.decay, 0.0..=1.0)?;
                soft(None, options.weight)?;
                ramp(options.ramp_epochs)
            }
            Self::Dino(options) => {
                optional(options.views, |views| {
                    check::count_in("views", views, 1..=MOST_VIEWS)
                })?;
                check::count_in("local_crops", options.local_crops, 0..=MOST_VIEWS)?;
                optional(options.epochs, |epochs| {
                    check::count_in("epochs", epochs, 1..=MOST_EPOCHS)
                })?;
                check::in_range("decay", options.decay, 0.0..=1.0)?;
                under("objective", &options.objective.0)
            }
            Self::BornAgain(options) => {
                check::count_in("generations", options.generations, 1..=MOST_VIEWS)
            }
        }
    }
}

/// A temperature and a weight, where they are given.
fn soft(temperature: Option<f64>, weight: Option<f64>) -> Result<(), ConfigError> {
    optional(temperature, |value| {
        check::temperature("temperature", value)
    })?;
    optional(weight, |value| check::weight("weight", value))
}

/// A weight of which the labels have the rest of 1, which a larger one would make negative.
fn rest_of_one(weight: Option<f64>) -> Result<(), ConfigError> {
    optional(weight, |value| {
        check::ensure(
            (0.0..=1.0).contains(&value),
            "weight",
            "from 0 to 1 (the labels have the rest of 1)",
            value,
        )
    })
}

/// The epochs of a ramp.
fn ramp(epochs: Option<usize>) -> Result<(), ConfigError> {
    optional(epochs, |epochs| {
        check::count_in("ramp_epochs", epochs, 0..=MOST_EPOCHS)
    })
}

fn optional<T>(
    value: Option<T>,
    check: impl FnOnce(T) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    value.map_or(Ok(()), check)
}

fn under(place: &str, config: &impl Check) -> Result<(), ConfigError> {
    config.check().map_err(|error| error.under(place))
}
