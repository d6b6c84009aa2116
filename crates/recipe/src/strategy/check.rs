use super::{Configured, Setting, StrategyRecipe, TfKdVariant};
use crate::Recipe;
use crate::losses::check_losses;
use anyhow::{Context, Result, bail, ensure};
use burn_distill::strategy;
use toml::{Table, Value};

/// Checks the strategy of a recipe, which is not that of a trained teacher, by setting it up.
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
    check_setting(&Setting::to_check(recipe)?)
}

/// Checks the strategy of a recipe, which is not that of a trained teacher, in that setting.
pub fn check_setting(setting: &Setting) -> Result<()> {
    let strategy = &setting.recipe.strategy;
    set_up(strategy, setting).with_context(|| format!("in the strategy `{}`", strategy.name()))
}

/// The entries among the strategies of the catalogue that a recipe gives by other tables, with these.
const OTHER_TABLES: [(&str, &str); 2] = [
    (
        "curriculum",
        "[[stage]]s, each with its own [[stage.loss]]es, and leave out [strategy] and [[loss]]",
    ),
    (
        "route-constrained",
        "a [route] with its `anchors`, and leave out [strategy]",
    ),
];

/// Refuses a kind of strategy that a recipe gives by other tables, and says by which.
pub fn refuse_tables(recipe: &Table) -> Result<()> {
    let strategy = recipe.get("strategy").and_then(Value::as_table);
    let kind = strategy.and_then(|strategy| strategy.get("kind")?.as_str());
    let mut entries = strategy::catalogue().iter();
    let entry = kind.and_then(|kind| entries.find(|entry| entry.is_called(kind)));
    let tables = entry.and_then(|entry| OTHER_TABLES.iter().find(|(name, _)| *name == entry.name));
    match (kind, tables) {
        (Some(kind), Some((_, tables))) => {
            bail!(
                "`strategy.kind` cannot be `{kind}`: a recipe says it by other tables. Give {tables}"
            )
        }
        _ => Ok(()),
    }
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
    /// Checks that the student can teach its like, as a teacher that is trained before does.
    fn check_offline(&self) -> Result<()> {
        let student = self.student()?;
        let scene = self.scene(&student, &student);
        check_losses(self.recipe.registry.losses(), &self.recipe.losses, &scene).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::error;

    const RECIPE: &str = "name = 'test'\ndata = { name = 'digits' }\n\
        teacher = { model = 'mlp-16', training = { epochs = 2 } }\n\
        student = { model = 'mlp-8', training = { epochs = 3 } }\n\
        loss = [{ kind = 'kd' }]\n";

    #[test]
    fn what_is_given_by_other_tables_is_refused_with_their_names() {
        for entry in strategy::catalogue() {
            let Some((_, tables)) = OTHER_TABLES.iter().find(|(name, _)| *name == entry.name)
            else {
                continue;
            };
            for kind in [&[entry.name], entry.aliases].concat() {
                let in_file = format!("{RECIPE}strategy = {{ kind = '{kind}' }}");
                let changed = format!("strategy.kind={kind}");
                for error in [error(&in_file, &[]), error(RECIPE, &[&changed])] {
                    let expected = format!("`strategy.kind` cannot be `{kind}`");
                    assert!(
                        error.contains(&expected) && error.contains(tables),
                        "{error}"
                    );
                }
            }
        }
    }
}
