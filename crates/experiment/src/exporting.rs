//! Export of the student of a finished run.

use super::card::card;
use super::data::Data;
use super::evaluation::{Evaluation, Part, check_data};
use super::finished::FinishedRun;
use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use burn_distill::interchange::{
    Model, ModelDescription, ModelExport, ModelFormat, Quantization, TensorKeys, rounded_to_8_bits,
};
use burn_distill::strategy::Predictions;
use std::path::Path;

/// Settings of an export.
#[derive(Clone, Copy, Debug)]
pub struct ExportSettings {
    /// Format of the file of the network.
    pub format: ModelFormat,
    /// Names of the tensors.
    pub keys: TensorKeys,
    /// Whether an ONNX file normalizes images itself.
    pub normalizes: bool,
    /// Precision of matrices and kernels. Default: single precision.
    pub quantization: Option<Quantization>,
    /// Whether an exported model in the folder is replaced.
    pub replaces: bool,
}

/// Writes the distilled student of a seed to a folder, with its description and a model card.
/// Returns the description, and notes on the export.
///
/// A quantized student is evaluated on the validation samples of the run, before and after the
/// quantization, or compared with the student itself where these have no labels.
///
/// # Errors
///
/// Returns an error that says what to do if the student is not a plain network, if the folder
/// exists and is not to be replaced, or if the network cannot be written in the format.
pub fn export(
    run: &FinishedRun,
    seed: u64,
    settings: &ExportSettings,
    folder: &Path,
) -> Result<(ModelDescription, Vec<String>)> {
    ensure!(
        !folder.as_os_str().is_empty(),
        "the name of the folder is empty: name it with --out"
    );
    let model = run.student(seed, &Device::flex())?;
    let export = ModelExport::new(model.description.clone())
        .with_format(settings.format)
        .with_keys(settings.keys)
        .with_normalization(settings.normalizes)
        .with_quantization(settings.quantization)
        .with_replace(settings.replaces);
    export.check(folder)?;
    let mut notes = Vec::new();
    if settings.quantization.is_some() {
        let data = run.data().context("the quantized student is evaluated")?;
        notes.extend(check_data(&model.description, &data, Part::Validation)?);
        notes.push(quantization_note(&data, &model, &export)?);
    }
    let card = |description: &ModelDescription| card(run, seed, description, &notes);
    let description = export.write(&model.network, folder, card)?;
    Ok((description, notes))
}

/// Returns a sentence on the size and the validation accuracy of a student in single precision and
/// quantized.
fn quantization_note(data: &Data, model: &Model, export: &ModelExport) -> Result<String> {
    let device = Device::flex();
    let mut small = model.clone();
    small.network = rounded_to_8_bits(&model.network);
    let bytes = |export: ModelExport| export.size(&model.network);
    let before = bytes(export.clone().with_quantization(None))?;
    let after = bytes(export.clone())?;
    if !data.has_validation() {
        return Ok(format!(
            "Matrices and kernels are stored in 8 bits: {after} bytes instead of {before}. The accuracy \
             was not measured, since the run has no validation samples."
        ));
    }
    if !data.validation_has_labels() {
        let loader = data.validation_loader(&device);
        let predictions = |model: &Model| Predictions::of(&model.network, &loader);
        let same = predictions(&small)?.agreement(&predictions(model)?);
        return Ok(format!(
            "Matrices and kernels are stored in 8 bits: {after} bytes instead of {before}, and the same \
             class is predicted for {:.2} % of the validation samples, which have no labels.",
            100.0 * same
        ));
    }
    let accuracy = |model: &Model| -> Result<f64> {
        Ok(100.0 * Evaluation::of(model, data, Part::Validation, &device)?.accuracy)
    };
    Ok(format!(
        "Matrices and kernels are stored in 8 bits: {} bytes instead of {}, and an accuracy of {:.2} % \
         on the validation samples instead of {:.2} %.",
        after,
        before,
        accuracy(&small)?,
        accuracy(model)?
    ))
}
