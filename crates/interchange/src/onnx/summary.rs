use super::file::OnnxFile;
use super::inferred;
use super::value::{OnnxValue, is_standard, operator_of, value_of};
use serde::Serialize;
use std::collections::HashMap;
use tract_onnx::pb;

/// Contents of an ONNX file, for inspection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OnnxSummary {
    /// Program that wrote the file, with its version.
    pub producer: String,
    /// Version of the operators of the domain `ai.onnx`.
    pub opset: i64,
    /// Versions of the operators of other domains.
    pub other_opsets: Vec<(String, i64)>,
    /// Number of weights: the values of all floating-point constants.
    pub parameters: u64,
    /// Inputs, without those that have a default value in the file.
    pub inputs: Vec<OnnxValue>,
    /// Outputs.
    pub outputs: Vec<OnnxValue>,
    /// Nodes, in the order of the file.
    pub nodes: Vec<OnnxNode>,
}

/// Node of an ONNX file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OnnxNode {
    /// Name; empty if the file leaves it out.
    pub name: String,
    /// Operator, with its domain unless that is `ai.onnx`.
    pub operator: String,
    /// Names of its inputs.
    pub inputs: Vec<String>,
    /// Outputs, with their types and shapes.
    pub outputs: Vec<OnnxValue>,
}

impl OnnxFile {
    /// Returns the contents of the file.
    pub fn summary(&self) -> OnnxSummary {
        let (model, graph) = (self.model(), self.graph());
        let others = model.opset_import.iter();
        let others = others.filter(|opset| !is_standard(&opset.domain));
        let shapes = self.inner_values();
        let unknown = |name: &String| OnnxValue {
            name: name.clone(),
            kind: "unknown".into(),
            shape: None,
        };
        let node = |node: &pb::NodeProto| OnnxNode {
            name: node.name.clone(),
            operator: operator_of(node),
            inputs: node.input.clone(),
            outputs: node
                .output
                .iter()
                .map(|name| shapes.get(name).cloned().unwrap_or_else(|| unknown(name)))
                .collect(),
        };
        let producer = [&model.producer_name, &model.producer_version];
        OnnxSummary {
            producer: producer.map(String::as_str).join(" ").trim().to_string(),
            opset: self.opset(),
            other_opsets: others
                .map(|opset| (opset.domain.clone(), opset.version))
                .collect(),
            parameters: self.parameters(),
            inputs: self.inputs().into_iter().map(value_of).collect(),
            outputs: graph.output.iter().map(value_of).collect(),
            nodes: graph.node.iter().map(node).collect(),
        }
    }

    /// Returns the tensors whose types the file declares or a runtime infers.
    fn inner_values(&self) -> HashMap<String, OnnxValue> {
        let graph = self.graph();
        let told = graph.value_info.iter().chain(&graph.output).map(value_of);
        let inferred = inferred::values(self);
        // Declared shapes come last: they name the sizes that are not fixed.
        let all = inferred.into_iter().chain(told);
        all.map(|value| (value.name.clone(), value)).collect()
    }
}
