//! Checks of the graph of a file, and the part of it that a network needs.

use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

/// Checks that a model has a graph whose nodes are connected without a cycle.
///
/// # Errors
///
/// Returns a sentence that names the node.
pub fn check_graph(model: &ModelProto) -> Result<(), String> {
    let Some(graph) = &model.graph else {
        return Err("the file holds no graph: it is not an ONNX model, or is damaged".into());
    };
    let mut names = HashSet::new();
    let constants = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    for name in constants {
        if !names.insert(name) {
            return Err(format!(
                "two constants have the name `{name}`: the file is damaged"
            ));
        }
    }
    let mut inputs = HashSet::new();
    for input in &graph.input {
        if input.name.is_empty() || !inputs.insert(input.name.as_str()) {
            return Err(format!(
                "an input has the name `{}`, but names are not empty and occur once",
                input.name
            ));
        }
    }
    names.extend(inputs);
    for (index, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            if !names.insert(output) {
                return Err(format!(
                    "{} computes `{output}`, which is computed twice: the file is damaged",
                    in_words(node, index)
                ));
            }
        }
    }
    for (index, node) in graph.node.iter().enumerate() {
        let mut inputs = node.input.iter().filter(|input| !input.is_empty());
        if let Some(missing) = inputs.find(|input| !names.contains(input.as_str())) {
            return Err(format!(
                "{} takes `{missing}`, which nothing computes: the file is damaged",
                in_words(node, index)
            ));
        }
    }
    for output in &graph.output {
        if !names.contains(output.name.as_str()) {
            return Err(format!(
                "the file returns `{}`, which no node computes: the file is damaged",
                output.name
            ));
        }
    }
    order(graph).map(|_| ())
}

/// Returns the name of a node in a sentence, given its place in the graph.
pub fn in_words(node: &NodeProto, index: usize) -> String {
    match node.name.is_empty() {
        true => format!("node {index} (`{}`)", node.op_type),
        false => format!("the node `{}`", node.name),
    }
}

/// Returns the index of the node that computes each tensor.
pub fn producers(graph: &GraphProto) -> HashMap<&str, usize> {
    let nodes = graph.node.iter().enumerate();
    let outputs = nodes.flat_map(|(index, node)| {
        let outputs = node.output.iter().filter(|output| !output.is_empty());
        outputs.map(move |output| (output.as_str(), index))
    });
    outputs.collect()
}

/// Returns the indices of the nodes in an order in which they can be computed.
fn order(graph: &GraphProto) -> Result<Vec<usize>, String> {
    let producers = producers(graph);
    let mut waits: Vec<usize> = vec![0; graph.node.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (index, node) in graph.node.iter().enumerate() {
        for input in &node.input {
            if let Some(&producer) = producers.get(input.as_str()) {
                waits[index] += 1;
                followers[producer].push(index);
            }
        }
    }
    let ready = waits.iter().enumerate().filter(|(_, waits)| **waits == 0);
    let mut order: Vec<_> = ready.map(|(index, _)| index).collect();
    let mut next = 0;
    while let Some(&index) = order.get(next) {
        next += 1;
        for &follower in &followers[index] {
            waits[follower] -= 1;
            if waits[follower] == 0 {
                order.push(follower);
            }
        }
    }
    match waits.iter().position(|waits| *waits > 0) {
        None => Ok(order),
        Some(index) => Err(format!(
            "{} needs its own output, in a cycle: the file is damaged",
            in_words(&graph.node[index], index)
        )),
    }
}

/// Returns the part of a graph that computes these tensors, in an order in which it can be computed.
///
/// Declared types of inner tensors are left out: a runtime infers them, and a wrong one would only
/// mislead it.
pub fn part(graph: &GraphProto, wanted: &[String]) -> Result<GraphProto, String> {
    let producers = producers(graph);
    let mut needed: HashSet<&str> = HashSet::new();
    let mut open: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut nodes = HashSet::new();
    while let Some(name) = open.pop() {
        if !needed.insert(name) {
            continue;
        }
        if let Some(&index) = producers.get(name)
            && nodes.insert(index)
        {
            let inputs = graph.node[index].input.iter();
            open.extend(inputs.map(String::as_str).filter(|input| !input.is_empty()));
        }
    }
    let order = order(graph)?
        .into_iter()
        .filter(|index| nodes.contains(index));
    let outputs = wanted.iter().map(|name| ValueInfoProto {
        name: name.clone(),
        ..ValueInfoProto::default()
    });
    Ok(GraphProto {
        node: order.map(|index| graph.node[index].clone()).collect(),
        name: graph.name.clone(),
        initializer: graph
            .initializer
            .iter()
            .filter(|tensor| needed.contains(tensor.name.as_str()))
            .cloned()
            .collect(),
        input: graph
            .input
            .iter()
            .filter(|input| needed.contains(input.name.as_str()))
            .cloned()
            .collect(),
        output: outputs.collect(),
        ..GraphProto::default()
    })
}
