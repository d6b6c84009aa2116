//! Strategies that a recipe configures in tables other than `[strategy]`.

use anyhow::{Result, bail};
use burn_distill::core::CatalogEntry;
use toml::{Table, Value};

/// A strategy that a recipe configures in tables other than `[strategy]`.
pub struct OtherTables {
    /// Name, aliases and reference.
    pub catalog: CatalogEntry,
    /// Tables to give instead, for an error.
    tables: &'static str,
}

/// The strategies that a recipe configures in tables other than `[strategy]`.
pub const TABLES: [OtherTables; 2] = [
    OtherTables {
        catalog: CatalogEntry {
            name: "curriculum",
            abbreviation: "",
            about: "stages, each with its own losses",
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

/// Refuses a kind of `[strategy]` that a recipe configures in other tables.
///
/// # Errors
///
/// Returns an error that names these tables.
pub fn refuse_tables(recipe: &Table) -> Result<()> {
    let strategy = recipe.get("strategy").and_then(Value::as_table);
    let kind = strategy.and_then(|strategy| strategy.get("kind")?.as_str());
    let Some(kind) = kind else {
        return Ok(());
    };
    let mut tables = TABLES.into_iter();
    match tables.find(|tables| tables.catalog.has_name(kind)) {
        Some(OtherTables { tables, .. }) => bail!(
            "`strategy.kind` cannot be `{kind}`, which a recipe configures in other tables: give {tables}"
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
    fn strategies_that_are_given_by_other_tables_are_refused_with_their_names() {
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
