//! Writes small ONNX files.

/// A node with one output, of the same name.
pub struct Node {
    operator: &'static str,
    inputs: Vec<String>,
    output: &'static str,
}

impl Node {
    pub fn new(operator: &'static str, inputs: &[&str], output: &'static str) -> Self {
        Self {
            operator,
            inputs: inputs.iter().map(ToString::to_string).collect(),
            output,
        }
    }
}

/// A constant: its name, its shape and its numbers.
pub type Constant = (String, Vec<usize>, Vec<f32>);

/// Returns an ONNX file with one input and one output, whose samples have these shapes.
pub fn model(
    nodes: &[Node],
    constants: &[Constant],
    input: (&str, &[usize]),
    output: (&str, &[usize]),
) -> Vec<u8> {
    let mut graph = Vec::new();
    for node in nodes {
        let mut bytes = Vec::new();
        for input in &node.inputs {
            field(&mut bytes, 1, input.as_bytes());
        }
        field(&mut bytes, 2, node.output.as_bytes());
        field(&mut bytes, 3, node.output.as_bytes());
        field(&mut bytes, 4, node.operator.as_bytes());
        field(&mut graph, 1, &bytes);
    }
    field(&mut graph, 2, b"graph");
    for (name, shape, numbers) in constants {
        let mut bytes = Vec::new();
        shape
            .iter()
            .for_each(|&size| number(&mut bytes, 1, size as u64));
        number(&mut bytes, 2, FLOAT);
        field(&mut bytes, 8, name.as_bytes());
        let raw: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        field(&mut bytes, 9, &raw);
        field(&mut graph, 5, &bytes);
    }
    field(&mut graph, 11, &value(input));
    field(&mut graph, 12, &value(output));

    let mut opset = Vec::new();
    number(&mut opset, 2, 13);
    let mut model = Vec::new();
    number(&mut model, 1, 8);
    field(&mut model, 7, &graph);
    field(&mut model, 8, &opset);
    model
}

const FLOAT: u64 = 1;

/// Returns a value of any number of samples.
fn value((name, shape): (&str, &[usize])) -> Vec<u8> {
    let mut batch = Vec::new();
    field(&mut batch, 2, b"batch");
    let mut sizes = Vec::new();
    field(&mut sizes, 1, &batch);
    for &size in shape {
        let mut dimension = Vec::new();
        number(&mut dimension, 1, size as u64);
        field(&mut sizes, 1, &dimension);
    }
    let mut tensor = Vec::new();
    number(&mut tensor, 1, FLOAT);
    field(&mut tensor, 2, &sizes);
    let mut kind = Vec::new();
    field(&mut kind, 1, &tensor);
    let mut value = Vec::new();
    field(&mut value, 1, name.as_bytes());
    field(&mut value, 2, &kind);
    value
}

/// Appends a field of bytes, as protocol buffers have it.
fn field(bytes: &mut Vec<u8>, tag: u64, content: &[u8]) {
    varint(bytes, tag << 3 | 2);
    varint(bytes, content.len() as u64);
    bytes.extend(content);
}

/// Appends a field of a number.
fn number(bytes: &mut Vec<u8>, tag: u64, number: u64) {
    varint(bytes, tag << 3);
    varint(bytes, number);
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}
