//! Checks of losses between networks that are not trained yet.

use super::fault::Place;
use super::naming::{check_name, loss_place};
use super::{Loss, LossContext, Losses, Recipe, TeacherRecipe, loss_context, student_of};
use crate::model::ModelRecipe;
use crate::registry::DatasetSpec;
use anyhow::{Result, bail, ensure};
use burn::tensor::Device;
use burn_distill::core::{ConfigError, CrossEntropyObjective, parameter_count};
use std::collections::HashMap;
use toml::Table;

/// Check the losses of a training by building them.
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
        "every loss has a `clip`: it is a share of the gradient of those that have none"
    );
    Ok(losses)
}

/// Checks that the losses that leave files, which have their names, differ by more than their case:
/// some file systems do not tell it apart.
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

/// Returns whether a loss leaves what it has learned in a file.
pub fn learns(loss: &Loss) -> bool {
    parameter_count(&loss.objective) > 0
}

/// Check that no two losses, each with its index in the recipe, have one name.
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

/// The first teacher and the student, untrained: enough to see whether the losses fit between them.
pub fn untrained(recipe: &Recipe, batch_size: usize) -> Result<LossContext> {
    untrained_with(recipe, batch_size, 0, &recipe.first_teacher()?.model)
}

/// The student with one of the teachers.
pub fn untrained_with(
    recipe: &Recipe,
    batch_size: usize,
    index: usize,
    teacher: &ModelRecipe,
) -> Result<LossContext> {
    let DatasetSpec { task, samples } = recipe.spec()?;
    let build = |model: &ModelRecipe| {
        let architecture = recipe.registry.network(model)?;
        architecture.init(&task, &Device::flex())
    };
    let student = build(&recipe.student.model).at("student.model")?;
    let place = format!("{}.model", TeacherRecipe::place(index));
    let teacher = build(teacher).at(&place)?;
    // Which samples there are is known with the data: until then as many as were published.
    let samples = (0..samples)
        .map(|id| (id, Some(id % task.classes)))
        .collect();
    Ok(loss_context(student, teacher, batch_size, samples))
}
