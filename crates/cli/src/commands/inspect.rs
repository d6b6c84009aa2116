use crate::args::InspectArgs;
use crate::output;
use anyhow::Result;
use burn::tensor::Device;
use burn_distill::architecture::NetworkConfig;
use burn_distill::core::{known_taps, parameter_count};
use burn_distill_recipe::memory;
use burn_distill_recipe::text::grouped;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

#[derive(Serialize)]
struct Inspection {
    model: String,
    input: [usize; 3],
    classes: usize,
    parameters: usize,
    multiply_adds: usize,
    taps: Vec<TapShape>,
}

#[derive(Serialize)]
struct TapShape {
    name: String,
    kind: &'static str,
    /// For one sample.
    shape: Vec<usize>,
}

/// Print the taps, parameters and cost of a model.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let config = NetworkConfig::by_name(&args.model)?;
    // The taps are those of two samples.
    memory::check_network(&config, args.input, args.classes, 2)?;
    let network = config.init(args.input, args.classes, &Device::flex())?;
    let taps = known_taps(&network)
        .iter()
        .map(|(name, tap)| TapShape {
            name: name.to_string(),
            kind: tap.kind(),
            shape: tap.shape().as_slice()[1..].to_vec(),
        })
        .collect();
    let inspection = Inspection {
        model: config.to_string(),
        input: args.input,
        classes: args.classes,
        parameters: parameter_count(&network),
        multiply_adds: config.multiply_adds(args.input, args.classes)?,
        taps,
    };
    if args.json {
        return output::print(serde_json::to_string_pretty(&inspection)?);
    }
    output::print(text(&inspection))
}

fn text(inspection: &Inspection) -> String {
    let by = |shape: &[usize]| {
        let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
        sizes.join("x")
    };
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["tap", "kind", "shape"]);
    for tap in &inspection.taps {
        table.add_row([tap.name.as_str(), tap.kind, &by(&tap.shape)]);
    }
    if let Some(shapes) = table.column_mut(2) {
        shapes.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{} for images of {} and {} classes\n\
         parameters     {:>14}\n\
         multiply-adds  {:>14} per sample\n\n\
         {table}",
        inspection.model,
        by(&inspection.input),
        inspection.classes,
        grouped(inspection.parameters),
        grouped(inspection.multiply_adds)
    )
}
