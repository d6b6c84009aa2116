//! Types and shapes of intermediate results that a file does not declare.

use super::file::OnnxFile;
use super::value::{OnnxSize, OnnxValue};
use super::{guard, operators, sizes};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

/// Returns the intermediate results whose types can be inferred; none if the graph cannot be run.
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
        true => inferred(file).unwrap_or_default(),
        false => Vec::new(),
    }
}

fn inferred(file: &OnnxFile) -> TractResult<Vec<OnnxValue>> {
    let onnx = tract_onnx::onnx().with_ignore_value_info(true);
    let mut parsed = onnx.parse(file.model(), file.folder().to_str())?;
    // An analysis that fails leaves the types that it has found.
    let _ = parsed.model.analyse(true);
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
