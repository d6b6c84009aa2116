//! Contents of ONNX files.

use crate::output;
use anyhow::Result;
use burn_distill::interchange::{OnnxFile, OnnxNode, OnnxSummary, OnnxValue};
use burn_distill_recipe::text::grouped;
use comfy_table::{Table, presets};
use std::collections::BTreeMap;
use std::path::Path;

/// Prints the inputs, outputs and operators of an ONNX file and, if `all` is set, every node.
///
/// # Errors
///
/// Returns an error that names the file if it cannot be read.
pub fn inspect_onnx(path: &Path, all: bool, json: bool) -> Result<()> {
    let mut summary = OnnxFile::read(path)?.summary();
    let operators = operators(&summary.nodes);
    if json {
        if !all {
            summary.nodes.clear();
        }
        return output::print(serde_json::to_string_pretty(&summary)?);
    }
    output::print(text(path, &summary, &operators, all))
}

/// Returns the number of nodes of each operator.
fn operators(nodes: &[OnnxNode]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in nodes {
        *counts.entry(node.operator.clone()).or_default() += 1;
    }
    counts
}

fn text(
    path: &Path,
    summary: &OnnxSummary,
    operators: &BTreeMap<String, usize>,
    all: bool,
) -> String {
    let mut opsets = vec![format!("opset {}", summary.opset)];
    let others = summary.other_opsets.iter();
    opsets.extend(others.map(|(domain, version)| format!("{domain} {version}")));
    let producer = match summary.producer.as_str() {
        "" => "a program that is not named",
        producer => producer,
    };
    let counts = operators
        .iter()
        .map(|(operator, count)| format!("{operator} {count}"));
    let counts: Vec<_> = counts.collect();
    let mut text = format!(
        "{}: ONNX, {}, written by {producer}\n\
         parameters     {:>14}\n\
         {}{}\
         nodes          {:>14}: {}\n",
        path.display(),
        opsets.join(", "),
        grouped(summary.parameters as usize),
        values("input", &summary.inputs),
        values("output", &summary.outputs),
        grouped(summary.nodes.len()),
        counts.join(", "),
    );
    match all {
        true => text.push_str(&nodes(&summary.nodes)),
        false => text.push_str("`--all` shows every node with its name\n"),
    }
    text
}

fn values(what: &str, values: &[OnnxValue]) -> String {
    let lines = values
        .iter()
        .map(|value| format!("{what:<6}         {value}\n"));
    lines.collect()
}

/// Returns a table with a row for each output of a node.
fn nodes(nodes: &[OnnxNode]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["node", "operator", "tensor"]);
    for node in nodes {
        for output in &node.outputs {
            table.add_row([&node.name, &node.operator, &output.to_string()]);
        }
    }
    format!("\n{table}\n")
}
