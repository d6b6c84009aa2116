use super::context::PreparedStrategy;
use super::{Prepared, StrategyContext, StrategyRecipe};
use crate::Recipe;
use crate::fault::Place;
use crate::input::{AnyInput, AnyNetwork};
use crate::losses::check_losses;
use anyhow::{Context, Result, bail, ensure};
use burn_distill::strategy::DynDistiller;

/// Checks that a recipe with a strategy, other than that of a trained teacher, has no tables for a
/// teacher.
///
/// # Errors
///
/// Returns an error that names the table to leave out.
pub fn check_no_teacher(recipe: &Recipe) -> Result<()> {
    let strategy = &recipe.strategy;
    ensure!(
        recipe.stages.is_empty() && recipe.route.is_none(),
        "[[stage]] and [route] are for a trained teacher, but the strategy is {}: leave out \
         these tables or the [strategy]",
        strategy.quoted()
    );
    ensure!(
        recipe.teacher.is_none(),
        "leave out [teacher]: with {} {}",
        strategy.quoted(),
        strategy.options().description()
    );
    Ok(())
}

/// Prepares a strategy, and checks the losses that are built after the training of a teacher.
///
/// # Errors
///
/// Returns an error if the options or the losses do not fit the recipe.
pub fn prepare_checked(
    strategy: &StrategyRecipe,
    context: &StrategyContext<'_>,
) -> Result<Prepared> {
    let options = strategy.options();
    let prepared = options.prepare(context).and_then(|prepared| {
        match prepared {
            Prepared::TrainedTeacher => check_losses_of_copy(context)?,
            _ => options.check_losses(context)?,
        }
        Ok(prepared)
    });
    prepared.with_context(|| format!("in the strategy {}", strategy.quoted()))
}

/// Prepares a strategy without data, whose student and teacher are on the CPU.
///
/// # Errors
///
/// Returns an error if the options or the losses do not fit the recipe.
///
/// # Panics
///
/// Panics if the strategy is one with data.
pub fn prepare_without_data(
    strategy: &StrategyRecipe,
    context: &StrategyContext<'_>,
    (student, teacher): (AnyNetwork, AnyNetwork),
) -> Result<PreparedStrategy<DynDistiller<AnyInput>>> {
    let options = strategy.options().without_data();
    let options = options.expect("The strategy is one without data.");
    let prepared = options.prepare(context, student, teacher);
    prepared.with_context(|| format!("in the strategy {}", strategy.quoted()))
}

/// Checks the losses between the student and a trained network of the same model.
fn check_losses_of_copy(context: &StrategyContext<'_>) -> Result<()> {
    ensure!(
        !context.losses.is_empty(),
        "there is no [[loss]]: add at least one"
    );
    let student = context.student_network()?;
    let between = context.loss_context(&student, &student);
    check_losses(context.loss_kinds, context.losses, &between).map(drop)
}

/// Checks the numbers of the strategy of a recipe, before terms are computed from them.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check_numbers(recipe: &Recipe) -> Result<()> {
    recipe.strategy.options().check().at("strategy")
}

/// Writes the terms of the authors into a recipe without losses.
///
/// # Errors
///
/// Returns an error if there are both losses and an option of these terms.
pub fn write_out_terms(recipe: &mut Recipe) -> Result<()> {
    if recipe.losses.is_empty() {
        let epochs = recipe.student.training.epochs;
        let classes = recipe.spec()?.task.classes;
        let strategy = recipe.strategy.options_mut();
        recipe.losses = strategy.take_terms(epochs, classes);
    } else if let Some(option) = recipe.strategy.options().option_of_terms() {
        bail!(
            "`strategy.{option}` is an option of the default terms, which [[loss]] replaces: give it \
             to a [[loss]], or leave out the [[loss]]es"
        );
    }
    Ok(())
}
