use super::{StrategyContext, entries};
use crate::Recipe;
use crate::fault::Place;
use anyhow::{Context, Result, bail, ensure};
use burn_distill::core::CatalogEntry;
use toml::{Table, Value};

/// Checks the strategy of a recipe, which is not that of a trained teacher, by preparing it.
pub fn check(recipe: &Recipe) -> Result<()> {
    let name = recipe.strategy.name();
    ensure!(
        recipe.stages.is_empty() && recipe.route.is_none(),
        "[[stage]] and [route] are for a trained teacher, and there is the strategy `{name}`"
    );
    ensure!(
        recipe.teacher.is_none(),
        "leave out [teacher]: with `{name}` {}",
        recipe.strategy.options().who_teaches()
    );
    check_setting(&StrategyContext::to_check(recipe)?)
}

/// Checks the strategy of a recipe in a context.
pub fn check_setting(context: &StrategyContext) -> Result<()> {
    let strategy = &context.recipe.strategy;
    let checked = strategy.options().check_setting(context);
    checked.with_context(|| format!("in the strategy `{}`", strategy.name()))
}

/// Checks the numbers of the strategy of a recipe, before terms are made of them.
pub fn check_numbers(recipe: &Recipe) -> Result<()> {
    recipe.strategy.options().check().at("strategy")
}

/// A strategy that a recipe gives by other tables than `[strategy]`.
pub struct OtherTables {
    /// The name, the aliases and the reference.
    pub catalog: CatalogEntry,
    /// The tables, in a request to give them.
    tables: &'static str,
}

/// The strategies that a recipe gives by other tables than `[strategy]`.
pub const TABLES: [OtherTables; 2] = [
    OtherTables {
        catalog: CatalogEntry {
            name: "curriculum",
            abbreviation: "",
            about: "stages with losses of their own",
            kind: "offline",
            aliases: &["stages", "two-stage"],
            reference: "as in Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015",
        },
        tables: "[[stage]]s, each with its own [[stage.loss]]es, and leave out [strategy] and \
            [[loss]]",
    },
    OtherTables {
        catalog: CatalogEntry {
            name: "route-constrained",
            abbreviation: "RCO",
            about: "early to late checkpoints of the teacher teach",
            kind: "offline",
            aliases: &["rco"],
            reference: "Jin et al., Knowledge Distillation via Route Constrained Optimization, \
                ICCV 2019 (by hardness our interpretation)",
        },
        tables: "a [route] with its `anchors`, and leave out [strategy]",
    },
];

/// Returns what a list says about all strategies.
pub fn catalog() -> Vec<CatalogEntry> {
    let mut catalog: Vec<_> = entries().map(|entry| entry.catalog).into();
    let tables = TABLES.into_iter().map(|tables| tables.catalog);
    catalog.splice(1..1, tables);
    catalog
}

/// Refuses a kind of strategy that a recipe gives by other tables, and says by which.
pub fn refuse_tables(recipe: &Table) -> Result<()> {
    let strategy = recipe.get("strategy").and_then(Value::as_table);
    let kind = strategy.and_then(|strategy| strategy.get("kind")?.as_str());
    let Some(kind) = kind else {
        return Ok(());
    };
    let mut tables = TABLES.into_iter();
    match tables.find(|tables| tables.catalog.is_called(kind)) {
        Some(OtherTables { tables, .. }) => bail!(
            "`strategy.kind` cannot be `{kind}`: a recipe says it by other tables. Give {tables}"
        ),
        None => Ok(()),
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
        for OtherTables {
            catalog: entry,
            tables,
        } in TABLES
        {
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
