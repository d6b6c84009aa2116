//! From recorded operations to the nodes of a graph.

mod activation;
mod base;
mod context;
mod layer;
mod numeric;

use super::graph::Graph;
use super::trace::Traces;
use burn::backend::ir::OperationIr;
use burn_distill_data::Normalization;
use context::Context;

/// Returns the graph of a recorded network, with the given names of its inputs and its output.
pub fn graph_of(
    traces: &Traces,
    inputs: &[&str],
    output: &str,
    normalization: Option<&Normalization>,
) -> Result<Graph, String> {
    let mut context = Context::new(traces);
    for (index, name) in inputs.iter().enumerate() {
        context.input(index, name)?;
    }
    if let Some(normalization) = normalization {
        normalize(&mut context, inputs[0], normalization);
    }
    context.output(output)?;
    for (operation, other) in traces.operations() {
        context.check_constants(operation, other)?;
        let lowered = match operation {
            OperationIr::BaseFloat(operation)
            | OperationIr::BaseInt(operation)
            | OperationIr::BaseBool(operation) => base::lower(&mut context, operation, other)?,
            OperationIr::NumericFloat(_, operation) | OperationIr::NumericInt(_, operation) => {
                numeric::lower(&mut context, operation, other)?
            }
            OperationIr::Float(_, operation) => numeric::lower_float(&mut context, operation)?,
            OperationIr::Int(operation) => numeric::lower_int(&mut context, operation)?,
            OperationIr::Bool(operation) => numeric::lower_bool(&mut context, operation)?,
            OperationIr::Activation(operation) => activation::lower(&mut context, operation)?,
            OperationIr::Module(operation) => layer::lower(&mut context, operation)?,
            _ => false,
        };
        if !lowered {
            return Err(format!(
                "it computes `{}`, which the export does not support: write the forward pass with other \
                 operations",
                name_of(operation)
            ));
        }
    }
    Ok(context.graph)
}

/// Adds nodes that normalize pixels from 0 to 255.
fn normalize(context: &mut Context<'_>, input: &str, normalization: &Normalization) {
    let scaled =
        |values: &[f32]| -> Vec<f32> { values.iter().map(|value| 255.0 * value).collect() };
    let channels = normalization.mean.len();
    let shape = [1, channels, 1, 1];
    let mean = context.floats("normalization.mean", &shape, &scaled(&normalization.mean));
    let std = context.floats("normalization.std", &shape, &scaled(&normalization.std));
    let centered = context.intermediate("Sub", vec![input.into(), mean], vec![]);
    let normalized = context.intermediate("Div", vec![centered, std], vec![]);
    context.rename_input(normalized);
}

/// Returns the name of an operation of burn.
fn name_of(operation: &OperationIr) -> String {
    let text = format!("{operation:?}");
    // `Family(Operation(…))` or `Family(F32, Operation(…))`.
    let inner = text.split_once('(').map_or("", |(_, inner)| inner);
    let inner = inner
        .split(&['(', '{', ' '])
        .find(|word| !word.is_empty() && !word.ends_with(','));
    inner.unwrap_or(&text).to_string()
}
