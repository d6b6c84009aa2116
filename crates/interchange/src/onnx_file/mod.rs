//! Networks as ONNX files, from the operations that burn records of a forward pass.
//!
//! burn-onnx 0.22 also exports the operations that burn records, but supports neither means,
//! transpositions and clamps nor softmax, GELU and layer normalization. Of the networks of this
//! toolkit, it exports only the multilayer perceptron.

mod graph;
mod lower;
mod proto;
mod trace;

use crate::{ModelDescription, OnnxDescription};
use burn_distill_core::{AnyNetwork, InputShape};
use burn_distill_data::Normalization;

/// Version of the operators in a file.
pub(crate) const OPSET: i64 = 17;

/// Name of the output of a file.
const OUTPUT: &str = "logits";

/// Returns the inputs and the output of the file of a network.
pub(crate) fn description(input: &InputShape, normalizes: bool) -> OnnxDescription {
    OnnxDescription {
        opset: OPSET,
        inputs: input_names(input).iter().map(ToString::to_string).collect(),
        output: OUTPUT.into(),
        normalizes,
    }
}

/// Returns the contents of the ONNX file of a network in validation mode. With a normalization, the
/// file takes pixels from 0 to 255.
pub(crate) fn bytes_of(
    network: &AnyNetwork,
    description: &ModelDescription,
    normalization: Option<&Normalization>,
) -> Result<Vec<u8>, String> {
    let name = &description.architecture.name;
    let traces = trace::Traces::of(network)
        .map_err(|reason| format!("`{name}` cannot be written as ONNX: {reason}"))?;
    let names = input_names(&description.input);
    let graph = lower::graph_of(&traces, names, OUTPUT, normalization)
        .map_err(|reason| format!("`{name}` cannot be written as ONNX: {reason}"))?;
    let classes = serde_json::to_string(&description.classes).map_err(|error| error.to_string())?;
    Ok(proto::model(&graph, name, OPSET, &[("classes", &classes)]))
}

fn input_names(input: &InputShape) -> &'static [&'static str] {
    match input {
        InputShape::Image(_) => &["images"],
        InputShape::Vector(_) => &["vectors"],
        InputShape::Sequence(_) => &["sequences"],
        InputShape::Tokens { .. } => &["ids", "mask"],
    }
}
