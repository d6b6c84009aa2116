//! Checks of recipes whose student sees no data.

use crate::Recipe;
use crate::naming::loss_place;
use anyhow::{Context, Result, ensure};

/// Checks that a recipe without data has one teacher, and losses that need no labels.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check_without_data(recipe: &Recipe) -> Result<()> {
    let strategy = recipe.strategy.quoted();
    ensure!(
        recipe.stages.is_empty() && recipe.route.is_none(),
        "[[stage]] and [route] are for a student that sees data, but the strategy is {strategy}: \
         leave out these tables or the [strategy]"
    );
    let teacher = recipe.teacher.as_ref().with_context(|| {
        format!(
            "`teacher` is missing: with {strategy}, {}: give a [teacher]",
            recipe.strategy.options().description()
        )
    })?;
    ensure!(
        teacher.others.is_empty(),
        "the strategy {strategy} is for one teacher: leave out `teacher.others`"
    );
    ensure!(
        !teacher.training_mode,
        "with the strategy {strategy}, the teacher uses its stored statistics: leave out \
         `teacher.training_mode`"
    );
    ensure!(
        !recipe.losses.is_empty(),
        "there is no loss: give a [[loss]] that compares the student with the teacher"
    );
    let kinds = recipe.registry.losses();
    for (index, table) in recipe.losses.iter().enumerate() {
        ensure!(
            !kinds.needs_labels(table),
            "`{}` needs labels, but with the strategy {strategy} the student sees none: leave it out, \
             and use losses that compare the student with the teacher, such as `soft-target` (KD)",
            loss_place(index)
        );
    }
    Ok(())
}
