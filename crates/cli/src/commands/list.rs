use crate::args::{Catalogue, ListArgs};
use crate::{output, recipe, table};
use anyhow::Result;
use burn_distill::architecture;
use burn_distill::core::CatalogueEntry;
use burn_distill::data::DatasetName;

/// Print a catalogue.
pub fn list(args: &ListArgs) -> Result<()> {
    let entries = match args.what {
        Catalogue::Models => models(),
        Catalogue::Losses => recipe::losses().cloned().collect(),
        Catalogue::Strategies => recipe::strategies(),
        Catalogue::Datasets => datasets(),
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

fn models() -> Vec<CatalogueEntry> {
    architecture::catalogue()
        .iter()
        .map(|model| CatalogueEntry {
            name: model.name,
            kind: model.kind,
            aliases: model.aliases,
            reference: model.reference,
        })
        .collect()
}

fn datasets() -> Vec<CatalogueEntry> {
    DatasetName::ALL
        .iter()
        .map(|name| {
            let info = name.info();
            CatalogueEntry {
                name: info.name,
                kind: info.kind,
                aliases: info.aliases,
                reference: info.reference,
            }
        })
        .collect()
}
