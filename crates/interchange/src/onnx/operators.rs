//! Checks of the nodes of a graph, before they are run.

use super::guard::in_words;
use super::value::{is_standard, operator_of};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

/// Largest number of elements that an attribute lists for the axes of a tensor.
const MOST_AXES: usize = 16;

/// Checks that every operator of a graph can be run.
///
/// # Errors
///
/// Returns a sentence that names the node, its operator and the version of the operators.
pub fn check(graph: &GraphProto, opset: i64) -> Result<(), String> {
    let known = tract_onnx::onnx().op_register.0;
    for (index, node) in graph.node.iter().enumerate() {
        let place = in_words(node, index);
        let operator = operator_of(node);
        if has_graph(node) {
            return Err(format!(
                "{place} is a `{operator}`, whose control flow is not supported: export the model without \
                 branches and loops, such as by tracing it"
            ));
        }
        if operator.ends_with("ZipMap") {
            return Err(format!(
                "{place} is a `{operator}`, which makes a map of each sample: convert the model with \
                 `zipmap=False`, or give the name of its input, `{}`, as `output`",
                node.input.first().map_or("", String::as_str)
            ));
        }
        let extended = ["com.microsoft", "ai.onnx.ml"].contains(&node.domain.as_str());
        if !known.contains_key(&node.op_type) || !(is_standard(&node.domain) || extended) {
            return Err(format!(
                "{place} is a `{operator}` of opset {opset}, an operator that is not supported: export the \
                 model with standard operators, or give an `output` before this node"
            ));
        }
        if node.output.iter().all(String::is_empty) {
            return Err(format!("{place} has no output: the file is damaged"));
        }
        for attribute in &node.attribute {
            check_attribute(node, attribute).map_err(|fault| {
                format!("{place}, a `{operator}`: `{}` {fault}", attribute.name)
            })?;
        }
    }
    Ok(())
}

fn has_graph(node: &NodeProto) -> bool {
    let mut attributes = node.attribute.iter();
    attributes.any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
}

/// Checks the range of an attribute whose meaning is known by its name.
fn check_attribute(node: &NodeProto, attribute: &AttributeProto) -> Result<(), String> {
    /// Largest size of a kernel, a stride or a padding.
    const LARGEST: i64 = 1 << 20;

    if AttributeType::try_from(attribute.r#type).is_err() {
        return Err("is of an unknown type: the file is damaged".into());
    }
    let per_axis = |least: i64| {
        if attribute.ints.len() > MOST_AXES {
            let count = attribute.ints.len();
            return Err(format!(
                "has {count} values, but should have at most {MOST_AXES}"
            ));
        }
        let wrong = |value: &&i64| !(least..=LARGEST).contains(*value);
        match attribute.ints.iter().find(wrong) {
            Some(value) => Err(format!(
                "is {value}, but should be from {least} to {LARGEST}"
            )),
            None => Ok(()),
        }
    };
    let number = |least: i64, largest: i64| match (least..=largest).contains(&attribute.i) {
        true => Ok(()),
        false => Err(format!(
            "is {}, but should be from {least} to {largest}",
            attribute.i
        )),
    };
    let most_axes = MOST_AXES as i64;
    match attribute.name.as_str() {
        "kernel_shape" | "strides" | "dilations" => per_axis(1),
        "pads" | "output_padding" if node.op_type != "Pad" => per_axis(0),
        "group" => number(1, LARGEST),
        "axis" | "batch_dims" => number(-most_axes, most_axes),
        "axes" => per_axis(-most_axes),
        "perm" => {
            let mut sorted = attribute.ints.clone();
            sorted.sort_unstable();
            match sorted.iter().copied().eq(0..sorted.len() as i64) {
                true => per_axis(0),
                false => Err(format!(
                    "is {:?}, but should be an order of axes",
                    attribute.ints
                )),
            }
        }
        "hidden_size" | "blocksize" | "num_heads" => number(1, LARGEST),
        _ => Ok(()),
    }
}
