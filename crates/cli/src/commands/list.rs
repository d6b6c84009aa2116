use crate::args::{Catalogue, ListArgs};
use crate::recipe;
use anyhow::Result;
use burn_distill::core::CatalogueEntry;
use burn_distill::data::DatasetName;
use burn_distill::{architecture, strategy};
use comfy_table::{Table, presets};

/// Print a catalogue.
pub fn list(args: &ListArgs) -> Result<()> {
    let entries = match args.what {
        Catalogue::Models => models(),
        Catalogue::Losses => recipe::losses().cloned().collect(),
        Catalogue::Strategies => strategy::catalogue().to_vec(),
        Catalogue::Datasets => datasets(),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&entries)?);
    } else {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["name", "kind", "also", "reference"]);
        for entry in entries {
            let aliases = entry.aliases.join(", ");
            table.add_row([entry.name, entry.kind, &aliases, entry.reference]);
        }
        println!("{table}");
    }
    Ok(())
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
