use crate::args::{Catalog, ListArgs};
use crate::{output, table};
use anyhow::Result;
use burn_distill::core::CatalogEntry;
use burn_distill_recipe::Registry;

/// Print a catalog.
pub fn list(args: &ListArgs, registry: &Registry) -> Result<()> {
    let entries: Vec<CatalogEntry> = match args.what {
        Catalog::Models => registry.networks().collect(),
        Catalog::Losses => registry.losses().entries().cloned().collect(),
        Catalog::Strategies => burn_distill_recipe::strategies(),
        Catalog::Datasets => registry.datasets().cloned().collect(),
    };
    if args.json {
        return output::print(serde_json::to_string_pretty(&entries)?);
    }
    let rows = entries.iter().map(|entry| {
        let aliases = entry.aliases.join(", ");
        [
            entry.name.to_string(),
            entry.kind.to_string(),
            aliases,
            entry.reference.to_string(),
        ]
    });
    let header = ["name", "kind", "also", "reference"];
    output::print(table::of_text(
        header,
        rows,
        table::width_of_output(args.wide),
    ))
}
