use super::data::Data;
use anyhow::Result;
use burn_distill_recipe::{Notices, Recipe, StrategyContext};

/// Returns the context of the strategy of a recipe, with the data.
pub(super) fn strategy_context<'a>(
    recipe: &'a Recipe,
    data: &Data,
    seed: u64,
    notices: Notices,
) -> Result<StrategyContext<'a>> {
    let training = &recipe.student.training;
    Ok(StrategyContext {
        task: data.task(),
        seed,
        samples: data.known_classes(seed)?,
        inputs: Some(data.first_inputs(training, seed)?),
        notices,
        ..recipe.strategy_context()?
    })
}

/// Returns the notices of the repetition of a seed.
pub(super) fn notices_of(notices: &Notices, seed: u64) -> Notices {
    notices.with_prefix(format!("seed {seed}: "))
}
