//! Size of the vocabulary of a graph.

use std::collections::HashMap;
use tract_onnx::pb::GraphProto;

/// Returns the number of rows of the smallest table in which the graph looks up the values of an
/// input, if it does so directly.
///
/// A runtime may stop the program at an index without a row, so the indices are checked before.
pub fn of_input(graph: &GraphProto, input: &str) -> Option<usize> {
    let rows: HashMap<&str, usize> = graph
        .initializer
        .iter()
        .filter_map(|table| {
            let rows = usize::try_from(*table.dims.first()?).ok()?;
            Some((table.name.as_str(), rows))
        })
        .collect();
    // The nodes are in the order in which they are computed.
    let mut same = vec![input];
    let mut smallest = None;
    for node in &graph.node {
        let takes = |place: usize| {
            let name = node.input.get(place);
            name.is_some_and(|name| same.contains(&name.as_str()))
        };
        match node.op_type.as_str() {
            "Cast" | "Identity" if takes(0) => same.extend(node.output.iter().map(String::as_str)),
            "Gather" if takes(1) && on_rows(node) => {
                let table = node
                    .input
                    .first()
                    .and_then(|table| rows.get(table.as_str()));
                smallest = match (smallest, table) {
                    (Some(smallest), Some(&rows)) => Some(rows.min(smallest)),
                    (smallest, rows) => smallest.or(rows.copied()),
                };
            }
            _ => {}
        }
    }
    smallest
}

/// Returns whether a node looks up rows of its table.
fn on_rows(node: &tract_onnx::pb::NodeProto) -> bool {
    let mut attributes = node.attribute.iter();
    attributes.all(|attribute| attribute.name != "axis" || attribute.i == 0)
}
