use super::{Configured, Setting, StrategyRecipe, TfKdVariant};
use crate::recipe::Recipe;
use crate::recipe::read::check_losses;
use anyhow::{Context, Result, ensure};

/// Check the strategy of a recipe, which is not that of a trained teacher, by setting it up.
pub fn check(recipe: &Recipe) -> Result<()> {
    let name = recipe.strategy.name();
    ensure!(
        recipe.stages.is_empty() && recipe.route.is_none(),
        "[[stage]] and [route] are for a trained teacher, and there is the strategy `{name}`"
    );
    ensure!(
        recipe.teacher.is_none(),
        "leave out [teacher]: with `{name}` {}",
        recipe.strategy.who_teaches()
    );
    let setting = Setting::to_check(recipe);
    set_up(&recipe.strategy, &setting).with_context(|| format!("in the strategy `{name}`"))
}

fn set_up(strategy: &StrategyRecipe, setting: &Setting) -> Result<()> {
    match strategy {
        StrategyRecipe::Offline {} => Ok(()),
        StrategyRecipe::Mutual(options) => setting.mutual(options).map(drop),
        StrategyRecipe::AdversarialFeatures(options) => {
            setting.adversarial_features(options).map(drop)
        }
        StrategyRecipe::Collaborative(options) => setting.collaborative(options).map(drop),
        StrategyRecipe::NativeEnsemble(options) => setting.native_ensemble(options).map(drop),
        StrategyRecipe::GroupLeader(options) => setting.group_leader(options).map(drop),
        StrategyRecipe::Codistillation(options) => setting.codistillation(options).map(drop),
        StrategyRecipe::Byot(options) => setting.exits(options).map(drop),
        StrategyRecipe::SdDropout(Configured(config)) => setting.dropout(config).map(drop),
        StrategyRecipe::Dlb(_) => setting.last_batch().map(drop),
        StrategyRecipe::Dino(options) => setting.dino(options).map(drop),
        StrategyRecipe::TfKd(options) => match options.variant {
            TfKdVariant::Copy => setting.check_offline(),
            TfKdVariant::Virtual => setting.teacher_free().map(drop),
        },
        StrategyRecipe::CsKd(_) => setting.same_class().map(drop),
        StrategyRecipe::PsKd(_) => setting.past_predictions().map(drop),
        StrategyRecipe::MeanTeacher(options) => setting.mean_teacher(options).map(drop),
        StrategyRecipe::BornAgain(options) => setting.check_generations(options),
    }
}

impl Setting<'_> {
    /// Check that the student can teach its like, as a teacher that is trained before does.
    fn check_offline(&self) -> Result<()> {
        let student = self.student()?;
        check_losses(&self.recipe.losses, &self.scene(&student, &student)).map(drop)
    }
}
