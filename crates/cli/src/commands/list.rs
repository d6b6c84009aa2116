use crate::args::{Catalog, ListArgs};
use crate::{output, table};
use anyhow::Result;
use burn_distill::core::CatalogEntry;
use burn_distill_recipe::Registry;

/// The width in columns from which a list of methods shows their aliases.
const WITH_ALIASES: usize = 100;

/// Prints a list of the names that recipes can have.
pub fn list(args: &ListArgs, registry: &Registry) -> Result<()> {
    let entries: Vec<CatalogEntry> = match args.what {
        Catalog::Models => registry.networks().entries().collect(),
        Catalog::Losses => registry.losses().entries().cloned().collect(),
        Catalog::Strategies => registry.strategy_catalog(),
        Catalog::Datasets => registry.datasets().cloned().collect(),
    };
    if args.json {
        return output::print(serde_json::to_string_pretty(&entries)?);
    }
    let width = table::width_of_output(args.wide);
    output::print(match args.what {
        Catalog::Losses | Catalog::Strategies => methods(&entries, width),
        Catalog::Models | Catalog::Datasets => {
            let rows = entries.iter().map(|entry| {
                let aliases = entry.aliases.join(", ");
                [entry.name, entry.kind, &aliases, entry.reference].map(String::from)
            });
            table::of_text(["name", "kind", "also", "reference"], rows, width)
        }
    })
}

/// Returns a list of losses or strategies: a line for each where the width is not limited, else the
/// reference below the description.
fn methods(entries: &[CatalogEntry], width: Option<usize>) -> String {
    let about = |entry: &CatalogEntry| match entry.about {
        // Only the kind is known of an entry that a program adds.
        "" => entry.kind,
        about => about,
    };
    let below = |entry: &CatalogEntry| {
        let lines = [about(entry), entry.reference];
        let lines = lines.into_iter().filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    };
    let also = |entry: &CatalogEntry| entry.aliases.join(", ");
    match width {
        None => {
            let rows = entries.iter().map(|entry| {
                let (name, aliases) = (entry.title(), also(entry));
                [&name, about(entry), entry.kind, &aliases, entry.reference].map(String::from)
            });
            let header = ["name", "what it does", "kind", "also", "reference"];
            table::of_text(header, rows, width)
        }
        Some(columns) if columns >= WITH_ALIASES => {
            let rows = entries.iter();
            let rows = rows.map(|entry| [entry.title(), also(entry), below(entry)]);
            table::of_text(["name", "also", "what it does, and reference"], rows, width)
        }
        Some(_) => {
            let rows = entries.iter();
            let rows = rows.map(|entry| [entry.title(), below(entry)]);
            table::of_text(["name", "what it does, and reference"], rows, width)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(width: Option<usize>) -> String {
        let registry = Registry::standard();
        let entries: Vec<_> = registry.losses().entries().cloned().collect();
        methods(&entries, width)
    }

    #[test]
    fn eighty_columns_show_abbreviation_name_clause_and_reference() {
        let list = losses(Some(80));

        assert!(
            list.lines()
                .all(|line| line.trim_end().chars().count() <= 80)
        );
        let registry = Registry::standard();
        let decoupled = &registry.losses().get("dkd").unwrap().catalog;
        let (_, entry) = list.split_once("decoupled (DKD)").unwrap();
        let words: Vec<_> = entry.split_whitespace().collect();
        let expected = format!("{} {}", decoupled.about, decoupled.reference);
        assert!(words.join(" ").starts_with(&expected), "{entry}");
        assert!(!list.contains("hinton"), "{list}");
    }

    #[test]
    fn wider_lists_show_aliases_and_the_widest_a_line_per_entry() {
        let aliases = losses(Some(120));
        assert!(
            aliases
                .lines()
                .all(|line| line.trim_end().chars().count() <= 120)
        );
        let line = |list: &str| {
            let line = list.lines().find(|line| line.contains("decoupled (DKD)"));
            line.unwrap().to_string()
        };
        assert!(line(&aliases).contains(" dkd "), "{aliases}");
        let whole = losses(None);
        let line = line(&whole);
        for part in [" dkd ", "Zhao et al."] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn an_entry_of_a_program_has_no_empty_line() {
        let list = methods(&[CatalogEntry::custom("mine")], Some(80));

        assert_eq!(list.lines().count(), 2, "{list}");
        assert!(list.contains("of this program"), "{list}");
    }
}
