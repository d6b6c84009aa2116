//! Checks of the sizes of tensors that a graph fills by constants, before memory is reserved for
//! them.

use super::guard::in_words;
use super::value::operator_of;
use std::collections::HashMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Largest number of elements of a tensor that a node fills: 1 GiB of numbers in single precision.
const MOST_ELEMENTS: u64 = 1 << 28;

/// Largest number of elements of a constant that gives sizes.
const MOST_SIZES: usize = 16;

/// Checks every node whose output has the sizes of a constant. Sizes that the graph computes cannot
/// be checked in advance.
///
/// # Errors
///
/// Returns a sentence that names the node.
pub fn check(graph: &GraphProto) -> Result<(), String> {
    let mut constants: HashMap<&str, Vec<f64>> = HashMap::new();
    for tensor in &graph.initializer {
        if let Some(numbers) = numbers(tensor) {
            constants.insert(&tensor.name, numbers);
        }
    }
    for (index, node) in graph.node.iter().enumerate() {
        if node.op_type == "Constant"
            && let (Some(output), Some(numbers)) = (node.output.first(), of_node(node))
        {
            constants.insert(output, numbers);
        }
        let input = |place: usize| {
            let name = node.input.get(place)?;
            constants.get(name.as_str()).map(Vec::as_slice)
        };
        let elements = match node.op_type.as_str() {
            "ConstantOfShape" => product(input(0)),
            "Expand" | "Tile" => product(input(1)),
            "Range" => range(input(0), input(1), input(2)),
            "OneHot" => product(input(1)),
            "Pad" => largest(input(1).or(of_attribute(node, "pads").as_deref())),
            "Upsample" => product(input(1).or(of_attribute(node, "scales").as_deref())),
            "Resize" => product(input(2)).max(product(input(3))),
            "EyeLike" | "RandomNormal" | "RandomUniform" => {
                product(of_attribute(node, "shape").as_deref())
            }
            _ => 0.0,
        };
        if elements > MOST_ELEMENTS as f64 {
            return Err(format!(
                "{}, a `{}`, fills a tensor of {elements:e} elements, but at most {MOST_ELEMENTS} are supported: \
                 the file is damaged, or the model too large",
                in_words(node, index),
                operator_of(node)
            ));
        }
    }
    Ok(())
}

/// Returns the number of elements of a tensor of these sizes.
fn product(sizes: Option<&[f64]>) -> f64 {
    // A negative size stands for one that is not known.
    let sizes = sizes.unwrap_or_default().iter();
    sizes.map(|size| size.max(1.0)).product()
}

fn largest(sizes: Option<&[f64]>) -> f64 {
    sizes
        .unwrap_or_default()
        .iter()
        .copied()
        .fold(0.0, f64::max)
}

fn range(start: Option<&[f64]>, end: Option<&[f64]>, step: Option<&[f64]>) -> f64 {
    match (start, end, step) {
        (Some([start]), Some([end]), Some([step])) if *step != 0.0 => (end - start) / step,
        // A step of 0 never ends.
        (_, _, Some([0.0])) => f64::INFINITY,
        _ => 0.0,
    }
}

/// Returns the values of a small constant; none for a larger one.
fn numbers(tensor: &TensorProto) -> Option<Vec<f64>> {
    let kind = DataType::try_from(tensor.data_type).ok()?;
    let raw = &tensor.raw_data;
    let numbers: Vec<f64> = match kind {
        DataType::Int64 if raw.is_empty() => tensor
            .int64_data
            .iter()
            .take(MOST_SIZES + 1)
            .map(|number| *number as f64)
            .collect(),
        DataType::Int64 if raw.len() <= 8 * MOST_SIZES => {
            let words = raw.chunks_exact(8);
            words
                .map(|word| i64::from_le_bytes(word.try_into().unwrap_or_default()) as f64)
                .collect()
        }
        DataType::Int32 if raw.is_empty() => tensor
            .int32_data
            .iter()
            .take(MOST_SIZES + 1)
            .map(|number| f64::from(*number))
            .collect(),
        DataType::Int32 if raw.len() <= 4 * MOST_SIZES => {
            let words = raw.chunks_exact(4);
            words
                .map(|word| f64::from(i32::from_le_bytes(word.try_into().unwrap_or_default())))
                .collect()
        }
        DataType::Float if raw.is_empty() => tensor
            .float_data
            .iter()
            .take(MOST_SIZES + 1)
            .map(|number| f64::from(*number))
            .collect(),
        DataType::Float if raw.len() <= 4 * MOST_SIZES => {
            let words = raw.chunks_exact(4);
            words
                .map(|word| f64::from(f32::from_le_bytes(word.try_into().unwrap_or_default())))
                .collect()
        }
        _ => return None,
    };
    (numbers.len() <= MOST_SIZES).then_some(numbers)
}

/// Returns the values of a node that is a constant.
fn of_node(node: &NodeProto) -> Option<Vec<f64>> {
    let mut attributes = node.attribute.iter();
    attributes.find_map(|attribute| match attribute.name.as_str() {
        "value" => numbers(attribute.t.as_ref()?),
        "value_int" => Some(vec![attribute.i as f64]),
        "value_float" => Some(vec![f64::from(attribute.f)]),
        "value_ints" | "value_floats" => of_attribute(node, &attribute.name),
        _ => None,
    })
}

fn of_attribute(node: &NodeProto, name: &str) -> Option<Vec<f64>> {
    let mut attributes = node.attribute.iter();
    let attribute = attributes.find(|attribute| attribute.name == name)?;
    let whole = attribute.ints.iter().map(|number| *number as f64);
    let numbers = whole.chain(attribute.floats.iter().map(|number| f64::from(*number)));
    Some(numbers.take(MOST_SIZES).collect())
}
