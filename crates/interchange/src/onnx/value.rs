//! Names, types and shapes in ONNX files.

use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto::Value;

/// Input or output of an ONNX file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OnnxValue {
    /// Name.
    pub name: String,
    /// Type of its elements, such as `float32`; `not a tensor` for sequences and maps.
    pub kind: String,
    /// Sizes of its axes, if the file declares them.
    pub shape: Option<Vec<OnnxSize>>,
}

/// Size of an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OnnxSize {
    /// Fixed size.
    Fixed(u64),
    /// Size that depends on the input, by its name in the file; empty if it has no name.
    Dynamic(String),
}

/// Returns whether a domain is that of the standard operators.
pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Returns the operator of a node, with its domain unless that is `ai.onnx`.
pub(super) fn operator_of(node: &pb::NodeProto) -> String {
    match is_standard(&node.domain) {
        true => node.op_type.clone(),
        false => format!("{}.{}", node.domain, node.op_type),
    }
}

/// Returns the name, type and shape of a value.
pub(super) fn value_of(value: &pb::ValueInfoProto) -> OnnxValue {
    let tensor = tensor_of(value);
    let size = |dim: &pb::tensor_shape_proto::Dimension| match &dim.value {
        Some(Size::DimValue(size)) => match u64::try_from(*size) {
            Ok(size) => OnnxSize::Fixed(size),
            Err(_) => OnnxSize::Dynamic(String::new()),
        },
        Some(Size::DimParam(name)) => OnnxSize::Dynamic(name.clone()),
        None => OnnxSize::Dynamic(String::new()),
    };
    OnnxValue {
        name: value.name.clone(),
        kind: match tensor {
            Some(tensor) => kind_of(tensor.elem_type),
            None => "not a tensor".into(),
        },
        shape: tensor
            .and_then(|tensor| tensor.shape.as_ref())
            .map(|shape| shape.dim.iter().map(size).collect()),
    }
}

/// Returns the type of a value that is a tensor.
pub(super) fn tensor_of(value: &pb::ValueInfoProto) -> Option<&pb::type_proto::Tensor> {
    match value.r#type.as_ref()?.value.as_ref()? {
        Value::TensorType(tensor) => Some(tensor),
    }
}

/// Returns the name of a type of elements.
pub(super) fn kind_of(data_type: i32) -> String {
    let name = match DataType::try_from(data_type) {
        Ok(DataType::Float) => "float32",
        Ok(DataType::Double) => "float64",
        Ok(other) => return other.as_str_name().to_lowercase(),
        Err(_) => return format!("type {data_type}"),
    };
    name.into()
}

impl Display for OnnxSize {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Dynamic(name) if name.is_empty() => f.write_str("?"),
            Self::Dynamic(name) => f.write_str(name),
        }
    }
}

/// Writes the name, the type and the shape, as in `image float32 [batch, 3, 32, 32]`.
impl Display for OnnxValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.kind)?;
        match &self.shape {
            Some(shape) => {
                let sizes: Vec<_> = shape.iter().map(OnnxSize::to_string).collect();
                write!(f, " [{}]", sizes.join(", "))
            }
            None => Ok(()),
        }
    }
}
