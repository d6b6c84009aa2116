//! Checks of a recipe as a whole: what the types do not say.

use super::fault::Place;
use super::losses::{check_distinct, check_losses, untrained, untrained_with};
use super::naming::{check_name, loss_place};
use super::training::check_training;
use super::{Loss, Recipe, TeacherRecipe, capacity, route, stages, strategy};
use crate::input::InputShape;
use anyhow::{Context, Result, anyhow, bail, ensure};
use burn_distill::core::check;
use burn_distill::data::{Augmentation, DataError};
use std::collections::HashSet;

/// Checks a recipe, whose types and numbers are right.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check(recipe: &Recipe) -> Result<()> {
    ensure!(
        !recipe.seeds.is_empty(),
        "`seeds` is empty: give at least one"
    );
    let distinct: HashSet<_> = recipe.seeds.iter().collect();
    ensure!(
        distinct.len() == recipe.seeds.len(),
        "`seeds` holds a seed twice"
    );

    check_name(&recipe.name)?;
    check_data(recipe)?;
    let teachers = recipe.teachers();
    for (index, teacher) in teachers.iter().enumerate() {
        let place = TeacherRecipe::place(index);
        check_training(&teacher.training, &format!("{place}.training"))?;
        let weights = teacher.weights.as_deref();
        check::ensure(
            weights.is_none_or(|path| !path.as_os_str().is_empty()),
            "weights",
            "the path of a file",
            "empty",
        )
        .at(&place)?;
    }
    check_training(&recipe.student.training, "student.training")?;
    capacity::check(recipe)?;

    for (index, table) in recipe.losses.iter().enumerate() {
        recipe
            .registry
            .losses()
            .check_response(table)
            .at(&loss_place(index))?;
    }
    for (stage, index, table) in recipe.losses_of_stages() {
        recipe
            .registry
            .losses()
            .check_response(table)
            .at(&format!("stage.{stage}.{}", loss_place(index)))?;
    }

    if !recipe.strategy.is_offline() {
        return strategy::check(recipe);
    }
    recipe.first_teacher()?;
    let several = teachers.len() > 1;
    match (recipe.losses.is_empty(), recipe.stages.is_empty()) {
        (true, true) => {
            bail!("there is no loss: give a [[loss]], or [[stage]]s with a [[stage.loss]] each")
        }
        (false, false) => bail!(
            "there are both [[loss]] and [[stage]]: the losses of a stage are its own, \
             as [[stage.loss]]"
        ),
        _ if several => check_joint_losses(recipe)?,
        (false, true) => {
            let context = untrained(recipe, recipe.student.training.batch_size)?;
            let losses = check_losses(recipe.registry.losses(), &recipe.losses, &context)?;
            if recipe.route.is_some() {
                check_legs(&losses).context("[route]")?;
                stages::check_files(&losses)?;
            }
        }
        (true, false) => stages::check(recipe)?,
    }
    route::check(recipe)
}

/// Check what is said about the data, as far as that can be done without the data.
fn check_data(recipe: &Recipe) -> Result<()> {
    let data = &recipe.data;
    let task = recipe.spec()?.task;
    for (key, part) in [("test", data.test), ("validation", data.validation)] {
        check::strictly_between(key, part, 0.0, 1.0).at("data")?;
    }
    let counts = [
        ("samples", data.samples),
        ("labels_per_class", data.labels_per_class),
    ];
    for (key, count) in counts {
        if let Some(count) = count {
            check::at_least(key, count, 1).at("data")?;
        }
    }
    let classes = task.classes;
    if let Some(class) = data.without_class {
        check::count_in("without_class", class, 0..=classes - 1).at("data")?;
    }
    check::count_in("workers", data.workers, 0..=MOST_WORKERS).at("data")?;
    let checked = match task.input {
        InputShape::Image(shape) => data.augmentation.check(shape).map_err(with_key),
        _ if data.augmentation == Augmentation::default() => Ok(()),
        input => Err(anyhow!(
            "only images are augmented, and `{}` holds {input}: leave it out",
            data.name
        )),
    };
    checked.at("data.augmentation")
}

/// Returns the error about a key alone, if it is about one.
fn with_key(error: DataError) -> anyhow::Error {
    match error {
        DataError::Config(error) => error.into(),
        error => error.into(),
    }
}

/// The most threads that prepare batches.
const MOST_WORKERS: usize = 1024;

/// Check that losses can be those of every leg of a route.
fn check_legs(losses: &[Loss]) -> Result<()> {
    for loss in losses {
        ensure!(
            loss.preparation.is_none() && loss.student.is_none(),
            "the loss `{}` trains something of its own for one teacher first, or makes the student \
             another network: it cannot be that of a route, along which the teacher changes",
            loss.name
        );
    }
    Ok(())
}

/// Check the losses between a student and several teachers.
fn check_joint_losses(recipe: &Recipe) -> Result<()> {
    ensure!(
        recipe.stages.is_empty() && recipe.route.is_none(),
        "there are several teachers, and [[stage]] or [route], which are for one"
    );
    let batch_size = recipe.student.training.batch_size;
    let contexts = recipe.teachers();
    let contexts = contexts.iter().enumerate();
    let contexts = contexts
        .map(|(index, teacher)| untrained_with(recipe, batch_size, index, &teacher.model))
        .collect::<Result<Vec<_>>>()?;
    let mut names = Vec::new();
    for (index, table) in recipe.losses.iter().enumerate() {
        let kinds = recipe.registry.losses();
        let loss = kinds.build_joint(table, &contexts).at(&loss_place(index))?;
        names.push(loss.name);
    }
    check_distinct(names.iter().map(String::as_str).enumerate())
}
