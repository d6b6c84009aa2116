//! Types and shapes of intermediate results that a file does not declare.

use super::file::OnnxFile;
use super::panics::caught;
use super::plans::parse;
use super::value::{OnnxSize, OnnxValue};
use super::{guard, operators, sizes};
use tract_onnx::pb::GraphProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

/// Returns the results before the outputs whose types can be inferred; none if these cannot be
/// computed.
///
/// Nodes that no output needs are left out: they are not checked, so that a runtime may reserve any
/// amount of memory for them.
pub fn values(file: &OnnxFile) -> Vec<OnnxValue> {
    let graph = file.graph();
    let outputs: Vec<_> = graph
        .output
        .iter()
        .map(|output| output.name.clone())
        .collect();
    let Ok(part) = guard::part(graph, &outputs) else {
        return Vec::new();
    };
    let runs = operators::check(&part, file.opset()).is_ok() && sizes::check(&part).is_ok();
    match runs {
        true => inferred(file, part).unwrap_or_default(),
        false => Vec::new(),
    }
}

fn inferred(file: &OnnxFile, part: GraphProto) -> TractResult<Vec<OnnxValue>> {
    let mut parsed = parse(file, part)?;
    // An analysis that fails leaves the types that it has found.
    let _ = caught(|| parsed.model.analyse(true));
    let values = parsed
        .outlets_by_name
        .into_iter()
        .filter_map(|(name, outlet)| {
            let fact = parsed.model.outlet_fact(outlet).ok()?;
            let kind = fact.datum_type.concretize()?;
            let sizes = fact.shape.dims().map(|size| match size.concretize() {
                None => OnnxSize::Dynamic(String::new()),
                Some(size) => match size.to_i64() {
                    Ok(size) => OnnxSize::Fixed(size.unsigned_abs()),
                    Err(_) => OnnxSize::Dynamic(size.to_string()),
                },
            });
            Some(OnnxValue {
                name,
                kind: kind_of(kind),
                shape: (!fact.shape.is_open()).then(|| sizes.collect()),
            })
        });
    Ok(values.collect())
}

/// Returns the name of a type, as in the summary of a file.
fn kind_of(kind: DatumType) -> String {
    let name = match kind {
        DatumType::F16 => "float16",
        DatumType::F32 => "float32",
        DatumType::F64 => "float64",
        // Sizes, which the runtime computes with symbols.
        DatumType::TDim | DatumType::I64 => "int64",
        DatumType::I32 => "int32",
        DatumType::U8 => "uint8",
        other => return format!("{other:?}").to_lowercase(),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::tensor_proto::DataType;
    use tract_onnx::pb::tensor_shape_proto::Dimension;
    use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
    use tract_onnx::pb::type_proto::{Tensor, Value};
    use tract_onnx::pb::{
        ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
        ValueInfoProto,
    };

    fn node(operator: &str, input: &str, output: &str) -> NodeProto {
        NodeProto {
            op_type: operator.into(),
            name: output.into(),
            input: vec![input.into()],
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    /// Returns a value of two numbers.
    fn pair(name: &str) -> ValueInfoProto {
        let size = Dimension {
            value: Some(Size::DimValue(2)),
            ..Dimension::default()
        };
        let tensor = Tensor {
            elem_type: DataType::Float as i32,
            shape: Some(TensorShapeProto { dim: vec![size] }),
        };
        ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto {
                value: Some(Value::TensorType(tensor)),
                ..TypeProto::default()
            }),
            ..ValueInfoProto::default()
        }
    }

    #[test]
    fn results_that_no_output_needs_are_not_inferred() {
        let sizes = TensorProto {
            name: "sizes".into(),
            dims: vec![2],
            data_type: DataType::Int64 as i32,
            int64_data: vec![1 << 30, 1 << 30],
            ..TensorProto::default()
        };
        let graph = GraphProto {
            node: vec![
                node("Relu", "input", "hidden"),
                node("Relu", "hidden", "output"),
                node("ConstantOfShape", "sizes", "huge"),
                node("Relu", "input", "unused"),
            ],
            initializer: vec![sizes],
            input: vec![pair("input")],
            output: vec![pair("output")],
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                version: 13,
                ..OperatorSetIdProto::default()
            }],
            ir_version: 8,
            ..ModelProto::default()
        };
        let file = OnnxFile::of_model("model.onnx".as_ref(), model).unwrap();

        let values = values(&file).into_iter();
        let mut values: Vec<_> = values.map(|value| value.to_string()).collect();
        values.sort();
        assert_eq!(
            values,
            [
                "hidden float32 [2]",
                "input float32 [2]",
                "output float32 [2]"
            ]
        );
    }
}
