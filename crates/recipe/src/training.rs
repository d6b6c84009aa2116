use super::TrainingRecipe;
use super::fault::Place;
use super::numbers::{MOST_EPOCHS, MOST_SAMPLES};
use anyhow::Result;
use burn_distill::core::{Check, ConfigError, check};

/// Checks the numbers of a training.
pub fn check_training(training: &TrainingRecipe, place: &str) -> Result<()> {
    let TrainingRecipe {
        epochs,
        batch_size,
        patience,
        optimizer,
        learning_rate,
        drop_last: _,
    } = training;
    let ranges = || -> Result<(), ConfigError> {
        check::count_in("epochs", *epochs, 1..=MOST_EPOCHS)?;
        check::count_in("batch_size", *batch_size, 1..=MOST_SAMPLES)?;
        if let Some(patience) = patience {
            check::at_least("patience", *patience, 1)?;
        }
        learning_rate
            .check()
            .map_err(|error| error.under("learning_rate"))?;
        optimizer.check().map_err(|error| error.under("optimizer"))
    };
    ranges().at(place)
}
