use crate::args::{ExportArgs, ExportFormat, ExportKeys, ExportPrecision};
use crate::output;
use anyhow::Result;
use burn_distill::interchange::{ModelFormat, Quantization, TensorKeys};
use burn_distill_experiment::{ExportSettings, FinishedRun, export};
use burn_distill_recipe::Registry;
use burn_distill_recipe::text::grouped;
use std::path::PathBuf;

/// Exports the distilled student of a run.
pub fn export_student(args: &ExportArgs, registry: &Registry) -> Result<()> {
    let run = FinishedRun::open(&args.run, registry)?;
    let seed = run.seed(args.seed)?;
    let settings = ExportSettings {
        format: match args.format {
            ExportFormat::Burnpack => ModelFormat::Burnpack,
            ExportFormat::Safetensors => ModelFormat::SafeTensors,
            ExportFormat::Onnx => ModelFormat::Onnx,
        },
        keys: match args.keys {
            ExportKeys::Paths => TensorKeys::Paths,
            ExportKeys::Original => TensorKeys::Original,
        },
        normalizes: args.normalize,
        quantization: args.quantize.map(|ExportPrecision::Q8| Quantization::Q8),
        replaces: args.force,
    };
    let folder = args.out.clone();
    let folder = folder.unwrap_or_else(|| PathBuf::from("exported").join(&run.recipe().name));
    let (model, notes) = export(&run, seed, &settings, &folder)?;
    notes.iter().for_each(output::note);
    output::print(format_args!(
        "{}: {} of seed {seed}, {} parameters, {} ({} bytes)",
        folder.display(),
        run.recipe().student.model,
        grouped(model.parameters),
        model.weights.file,
        grouped(model.weights.bytes as usize),
    ))
}
