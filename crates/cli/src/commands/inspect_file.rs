use super::fitting::{Fit, fitting};
use crate::args::InspectArgs;
use crate::output;
use anyhow::Result;
use burn_distill::interchange::{Checkpoint, CheckpointFormat, ModelDescription};
use burn_distill_recipe::Registry;
use burn_distill_recipe::text::{escaped, grouped};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Number of tensors that are shown without `--all`.
const SHOWN: usize = 16;
/// Longest name of a tensor in the table, which is 80 columns wide with types and shapes.
const LONGEST_NAME: usize = 46;
/// Longest text of the metadata in the list.
const LONGEST_TEXT: usize = 58;

#[derive(Serialize)]
struct Inspection {
    file: String,
    format: String,
    /// Number of elements of all tensors.
    values: usize,
    metadata: BTreeMap<String, String>,
    fits: Vec<Fit>,
    tensors: Vec<TensorRow>,
}

#[derive(Serialize)]
struct TensorRow {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// Prints the tensors of a checkpoint, its metadata and the networks that it fits. That of an
/// exported model has a description.
pub fn inspect_file(
    path: &Path,
    description: Option<&ModelDescription>,
    args: &InspectArgs,
    registry: &Registry,
) -> Result<()> {
    let format = CheckpointFormat::of_file(path)?;
    let checkpoint = Checkpoint::open(path)?;
    let (mut metadata, mut model) = metadata(&checkpoint);
    if let Some(description) = description {
        model = Some(description.architecture.name.clone());
        metadata.extend([
            ("model".into(), description.architecture.name.clone()),
            ("input".into(), description.input.to_string()),
            ("classes".into(), description.classes.join(", ")),
        ]);
    }
    let named: Vec<_> = model.into_iter().collect();
    let rows = checkpoint.tensors().iter().map(|tensor| TensorRow {
        name: tensor.name.clone(),
        dtype: tensor.dtype.clone(),
        shape: tensor.shape.clone(),
    });
    let inspection = Inspection {
        file: path.display().to_string(),
        format: format.to_string(),
        values: checkpoint
            .tensors()
            .iter()
            .fold(0, |sum: usize, it| sum.saturating_add(it.elements())),
        metadata,
        fits: fitting(&checkpoint, &named, &args.input, registry),
        tensors: rows.collect(),
    };
    if args.json {
        return output::print(serde_json::to_string_pretty(&inspection)?);
    }
    output::print(text(&inspection, args.all))
}

/// Returns the metadata, with the record of this program as separate entries, and the name of the
/// model in it.
fn metadata(checkpoint: &Checkpoint) -> (BTreeMap<String, String>, Option<String>) {
    let mut metadata = checkpoint.metadata().clone();
    let provenance = metadata.get("provenance");
    let provenance: Option<Value> = provenance.and_then(|text| serde_json::from_str(text).ok());
    let Some(Value::Object(origin)) = provenance else {
        return (metadata, None);
    };
    metadata.remove("provenance");
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(names) => {
            let names = names.iter().map(|name| name.as_str().unwrap_or_default());
            names.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    for (key, place) in [
        ("model", "/model"),
        ("role", "/role"),
        ("data", "/data/name"),
        ("classes", "/classes"),
        ("seed", "/seed"),
        ("version", "/version"),
    ] {
        let origin = Value::Object(origin.clone());
        if let Some(value) = origin.pointer(place) {
            metadata.insert(key.into(), text(value));
        }
    }
    let model = metadata.get("model").cloned();
    (metadata, model)
}

fn text(inspection: &Inspection, all: bool) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["tensor", "type", "shape"]);
    let count = inspection.tensors.len();
    let shown = if all { count } else { SHOWN.min(count) };
    for row in &inspection.tensors[..shown] {
        let shape: Vec<_> = row.shape.iter().map(usize::to_string).collect();
        let shape = match shape.is_empty() {
            true => "scalar".to_string(),
            false => shape.join("x"),
        };
        let name = middle(&escaped(&row.name), LONGEST_NAME);
        table.add_row([name, row.dtype.clone(), shape]);
    }
    if let Some(shapes) = table.column_mut(2) {
        shapes.set_cell_alignment(CellAlignment::Right);
    }
    let mut lines = vec![
        escaped(&inspection.file),
        format!("format         {}", inspection.format),
        format!("tensors        {:>14}", grouped(count)),
        format!("values         {:>14}", grouped(inspection.values)),
    ];
    for (key, text) in &inspection.metadata {
        let key = middle(&escaped(key), 14);
        lines.push(format!(
            "{key:<14} {}",
            middle(&escaped(text), LONGEST_TEXT)
        ));
    }
    lines.push(String::new());
    lines.push(table.to_string());
    if shown < count {
        lines.push(format!("and {} more, which --all shows", count - shown));
    }
    lines.push(String::new());
    lines.push(fits(&inspection.fits));
    lines.join("\n")
}

fn fits(fits: &[Fit]) -> String {
    if fits.is_empty() {
        return "It fits no model of `burn-distill list models` with a fixed name. For one\n\
                whose name has numbers, or for other names of tensors, give the model and\n\
                `keys` in a recipe."
            .to_string();
    }
    let lines = fits.iter().map(|fit| {
        let part = match fit.part.as_str() {
            "" => String::new(),
            part => format!(", under `{}`", middle(&escaped(part), 30)),
        };
        format!("fits {} for {} classes{part}", fit.model, fit.classes)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Shortens a text in its middle: the beginning and the end of a name tell most.
fn middle(text: &str, longest: usize) -> String {
    let letters: Vec<_> = text.chars().collect();
    if letters.len() <= longest {
        return text.to_string();
    }
    let head = (longest - 1) / 3;
    let tail = longest - 1 - head;
    let part = |letters: &[char]| letters.iter().collect::<String>();
    format!(
        "{}…{}",
        part(&letters[..head]),
        part(&letters[letters.len() - tail..])
    )
}
