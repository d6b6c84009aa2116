//! Names of outputs and intermediate results in a file.

use super::config::{OnnxConfig, OnnxOutputs};
use super::feed::listed;
use super::file::OnnxFile;
use super::guard::producers;
use super::value::{tensor_of, value_of};
use burn_distill_core::nearest;
use tract_onnx::pb::GraphProto;
use tract_onnx::pb::tensor_proto::DataType;

/// Returns the name of the tensor that is the response.
///
/// # Errors
///
/// Returns a sentence if it is unknown, ambiguous, or not of numbers, or if its operator
/// contradicts the declared meaning of its values.
pub fn named_output(file: &OnnxFile, config: &OnnxConfig) -> Result<String, String> {
    let graph = file.graph();
    let names: Vec<_> = graph
        .output
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    let name = match (&config.output, names.as_slice()) {
        (Some(name), _) => {
            tensor_named(graph, name).map_err(|reason| format!("`output`: {reason}"))?
        }
        (None, [name]) => name.to_string(),
        (None, []) => {
            return Err(
                "the file has no output: give the name of an intermediate result as `output`, or export the \
                 model with its logits"
                    .into(),
            );
        }
        (None, names) => {
            return Err(format!(
                "the file has several outputs, {}: give the name of the logits as `output`",
                listed(names)
            ));
        }
    };
    if let Some(output) = graph.output.iter().find(|output| output.name == name) {
        match (&output.r#type, tensor_of(output)) {
            (Some(_), None) => {
                return Err(format!(
                    "the output `{name}` is a sequence or a map, not a tensor: convert the model with \
                     `zipmap=False`, or give another `output`"
                ));
            }
            (_, Some(tensor)) if tensor.elem_type == DataType::String as i32 => {
                return Err(format!(
                    "the output {} is of text, but numbers are expected: give the name of the logits or \
                     probabilities as `output`",
                    value_of(output)
                ));
            }
            // Declared types are optional.
            _ => {}
        }
    }
    check_operator(graph, &name, config.outputs)?;
    Ok(name)
}

/// Returns the name of a tensor in a graph, given its name or that of the node whose first output it
/// is.
///
/// # Errors
///
/// Returns a sentence with the nearest name if there is none.
pub fn tensor_named(graph: &GraphProto, name: &str) -> Result<String, String> {
    let producers = producers(graph);
    if producers.contains_key(name) {
        return Ok(name.into());
    }
    let mut nodes = graph.node.iter();
    let node = nodes.find(|node| node.name == name);
    if let Some(output) = node.and_then(|node| node.output.first()) {
        return Ok(output.clone());
    }
    let names = graph.node.iter().map(|node| node.name.as_str());
    let hint = nearest(name, producers.keys().copied().chain(names));
    let hint = hint.map(|name| format!(", did you mean `{name}`?"));
    Err(format!(
        "the file has no tensor or node `{name}`{}; `burn-distill inspect FILE --all` lists them",
        hint.unwrap_or_default()
    ))
}

/// Checks the declared meaning of an output against the operator that computes it.
fn check_operator(graph: &GraphProto, name: &str, outputs: OnnxOutputs) -> Result<(), String> {
    let Some(&index) = producers(graph).get(name) else {
        return Ok(());
    };
    let node = &graph.node[index];
    let expected = match (node.op_type.as_str(), outputs) {
        ("Softmax", OnnxOutputs::Logits | OnnxOutputs::Sigmoid) => "probabilities",
        ("Sigmoid", OnnxOutputs::Logits | OnnxOutputs::Probabilities) => "sigmoid",
        ("LogSoftmax", OnnxOutputs::Probabilities | OnnxOutputs::Sigmoid) => "logits",
        _ => return Ok(()),
    };
    Err(format!(
        "the output `{name}` is computed by the `{}` of the node `{}`: give `outputs = \"{expected}\"`, or \
         the name of its input, `{}`, as `output`",
        node.op_type,
        node.name,
        node.input.first().map_or("", String::as_str)
    ))
}
