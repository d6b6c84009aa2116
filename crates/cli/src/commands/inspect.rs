use super::inspect_file::inspect_file;
use crate::args::InspectArgs;
use crate::output;
use anyhow::Result;
use burn::tensor::Device;
use burn_distill::core::{known_taps, parameter_count};
use burn_distill::interchange::{DESCRIPTION_FILE, ModelDescription};
use burn_distill_recipe::text::grouped;
use burn_distill_recipe::{InputShape, ModelRecipe, Registry, Task, check_network};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Inspection {
    model: String,
    input: InputShape,
    classes: usize,
    parameters: usize,
    /// `None` for a network that a program adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    multiply_adds: Option<usize>,
    taps: Vec<TapShape>,
}

#[derive(Serialize)]
struct TapShape {
    name: String,
    kind: &'static str,
    /// Shape for one sample.
    shape: Vec<usize>,
}

/// Prints the taps, parameters and cost of a model, or the tensors of a file or of an exported model.
pub fn inspect(args: &InspectArgs, registry: &Registry) -> Result<()> {
    let given = Path::new(&args.model);
    let exported = match given.join(DESCRIPTION_FILE).is_file() {
        true => Some(ModelDescription::read(given)?),
        false => None,
    };
    let path = match &exported {
        Some(model) => &given.join(&model.weights.file),
        None => given,
    };
    if path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("onnx"))
    {
        #[cfg(feature = "onnx")]
        return super::inspect_onnx::inspect_onnx(path, args.all, args.json);
        #[cfg(not(feature = "onnx"))]
        anyhow::bail!(
            "{}: this program is built without support of ONNX files: build it with `cargo build \
             --release --features onnx`",
            path.display()
        );
    }
    let mut model = ModelRecipe::from(args.model.as_str());
    let names_file = || is_file(&args.model) && registry.network(&model).is_err();
    if exported.is_some() || names_file() {
        return inspect_file(path, exported.as_ref(), args, registry);
    }
    args.options
        .iter()
        .try_for_each(|option| model.set(option))?;
    let architecture = registry.network(&model)?;
    // The name in the registry may differ from the spelling on the command line.
    model.name = architecture.name();
    let task = Task {
        input: args.input.clone(),
        classes: args.classes,
    };
    // The taps are those of two samples.
    check_network(&*architecture, &task, 2)?;
    let network = architecture.init(&task, &Device::flex())?;
    let taps = known_taps(&network)
        .iter()
        .map(|(name, tap)| TapShape {
            name: name.to_string(),
            kind: tap.kind(),
            shape: tap.shape().as_slice()[1..].to_vec(),
        })
        .collect();
    let inspection = Inspection {
        model: model.to_string(),
        multiply_adds: architecture.plan(&task)?.map(|plan| plan.multiply_adds()),
        input: task.input,
        classes: args.classes,
        parameters: parameter_count(&network),
        taps,
    };
    if args.json {
        return output::print(serde_json::to_string_pretty(&inspection)?);
    }
    output::print(text(&inspection))
}

/// Returns whether a text is the path of a file, which need not exist if it has a folder or the
/// ending of such a file.
fn is_file(text: &str) -> bool {
    const ENDINGS: [&str; 6] = ["bin", "bpk", "onnx", "pt", "pth", "safetensors"];
    let path = Path::new(text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    path.exists() || text.contains('/') || ending.is_some_and(|it| ENDINGS.contains(&it))
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
    let cost = match inspection.multiply_adds {
        Some(count) => format!("multiply-adds  {:>14} per sample\n", grouped(count)),
        None => "multiply-adds         unknown for a custom network\n".into(),
    };
    format!(
        "{} for {} and {} classes\n\
         parameters     {:>14}\n\
         {cost}\n\
         {table}",
        inspection.model,
        inspection.input,
        inspection.classes,
        grouped(inspection.parameters),
    )
}
