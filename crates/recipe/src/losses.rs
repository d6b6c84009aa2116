//! Checks of the losses of a training.

use super::fault::Place;
use super::loss::{Loss, LossContext, Losses, student_of};
use super::naming::{check_name, loss_place};
use anyhow::{Result, bail, ensure};
use burn_distill::core::{ConfigError, CrossEntropyObjective, parameter_count};
use std::collections::HashMap;
use toml::Table;

/// Builds the losses of a training, and checks that they can be used together.
///
/// # Errors
///
/// Returns an error, with the place of the loss, if one cannot be built or does not fit the others.
pub fn check_losses(kinds: &Losses, tables: &[Table], context: &LossContext) -> Result<Vec<Loss>> {
    let mut losses = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let loss = kinds.build(table, context).at(&loss_place(index))?;
        if loss.preparation.is_some() {
            check_name(&loss.name).at(&loss_place(index))?;
        }
        losses.push(loss);
    }
    check_distinct(losses.iter().map(|loss| loss.name.as_str()).enumerate())?;
    check_distinct_files(&losses)?;
    student_of(&losses)?;
    ensure!(
        losses.is_empty() || losses.iter().any(|loss| !loss.is_to_be_clipped()),
        "every loss has a `clip`, which is a share of the gradient of the losses without one: leave it out of one loss"
    );
    Ok(losses)
}

/// Checks that the names of losses that write files differ by more than their case, which some file
/// systems ignore.
fn check_distinct_files(losses: &[Loss]) -> Result<()> {
    let files = losses.iter().enumerate();
    let files = files.filter(|(_, loss)| loss.preparation.is_some() || learns(loss));
    let mut known = HashMap::new();
    for (index, loss) in files {
        if let Some(other) = known.insert(loss.name.to_lowercase(), &loss.name) {
            let expected =
                format!("different from `{other}` by more than its case, as it names files");
            let found = format_args!("`{}`", loss.name);
            return Err(ConfigError::new("name", expected, found)).at(&loss_place(index));
        }
    }
    Ok(())
}

/// Returns whether a loss has parameters, which are saved in a file.
pub fn learns(loss: &Loss) -> bool {
    parameter_count(&loss.objective) > 0
}

/// Checks that no two losses, each with its index in the recipe, have one name.
///
/// # Errors
///
/// Returns an error that names both.
pub fn check_distinct<'a>(losses: impl Iterator<Item = (usize, &'a str)>) -> Result<()> {
    let mut known = HashMap::new();
    for (index, name) in losses {
        if let Some(first) = known.insert(name, index) {
            let remedy = match name == CrossEntropyObjective::TERM {
                // Two cross-entropies with the same targets are one with the sum of the weights.
                true => "leave one out, and give the other the sum of their weights",
                false => "give one of them a `name`",
            };
            bail!(
                "the losses `{}` and `{}` are both named `{name}`: {remedy}",
                loss_place(first),
                loss_place(index)
            );
        }
    }
    Ok(())
}
