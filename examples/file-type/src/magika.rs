//! magika, run from its ONNX file.

use burn_distill::core::Tokens;
use burn_distill::data::ByteWindow;
use burn_distill::interchange::{OnnxConfig, OnnxData, OnnxError, OnnxNetwork, OnnxOutputs};
use std::path::Path;

/// Loads magika, whose outputs are probabilities.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or does not fit the bytes of files and these
/// classes.
pub fn load(file: &Path, classes: &[String]) -> Result<OnnxNetwork<Tokens>, OnnxError> {
    let config = OnnxConfig {
        outputs: OnnxOutputs::Probabilities,
        ..OnnxConfig::default()
    };
    let data = OnnxData {
        sample: vec![ByteWindow::MAGIKA.tokens()],
        classes: classes.to_vec(),
        ..OnnxData::default()
    };
    OnnxNetwork::load(file, &config, &data)
}
