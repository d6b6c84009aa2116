use crate::args::{Catalogue, ListArgs};
use crate::{output, table};
use anyhow::Result;
use burn_distill::core::CatalogueEntry;
use burn_distill_recipe::Registry;

/// Print a catalogue.
pub fn list(args: &ListArgs, registry: &Registry) -> Result<()> {
    let entries: Vec<CatalogueEntry> = match args.what {
        Catalogue::Models => registry.networks().collect(),
        Catalogue::Losses => registry.losses().entries().cloned().collect(),
        Catalogue::Strategies => burn_distill_recipe::strategies(),
        Catalogue::Datasets => registry.datasets().cloned().collect(),
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
