//! The encoding of an ONNX file, in protocol buffers.
//!
//! The numbers of the fields are those of `onnx.proto`.

use super::graph::{Attribute, Constant, Element, Graph, Node, Size, Value};

/// Version of the format, which goes with the operators.
const IR_VERSION: i64 = 8;

/// Name of the size of the batch axis.
const BATCH: &str = "batch";

/// Returns the contents of a file.
pub fn model(graph: &Graph, name: &str, opset: i64, metadata: &[(&str, &str)]) -> Vec<u8> {
    let mut operators = Message::default();
    operators.text(1, "");
    operators.int(2, opset);
    let mut model = Message::default();
    model.int(1, IR_VERSION);
    model.text(2, "burn-distill");
    model.text(3, env!("CARGO_PKG_VERSION"));
    model.message(7, &graph_of(graph, name));
    model.message(8, &operators);
    for (key, text) in metadata {
        let mut entry = Message::default();
        entry.text(1, key);
        entry.text(2, text);
        model.message(14, &entry);
    }
    model.0
}

fn graph_of(graph: &Graph, name: &str) -> Message {
    let mut message = Message::default();
    for (index, node) in graph.nodes.iter().enumerate() {
        message.message(1, &node_of(node, index));
    }
    message.text(2, name);
    for constant in &graph.constants {
        message.message(5, &constant_of(constant));
    }
    for input in &graph.inputs {
        message.message(11, &value_of(input));
    }
    for output in &graph.outputs {
        message.message(12, &value_of(output));
    }
    message
}

fn node_of(node: &Node, index: usize) -> Message {
    let mut message = Message::default();
    for input in &node.inputs {
        message.text(1, input);
    }
    message.text(2, &node.output);
    message.text(3, &format!("{}_{index}", node.operator));
    message.text(4, node.operator);
    for (name, attribute) in &node.attributes {
        message.message(5, &attribute_of(name, attribute));
    }
    message
}

fn attribute_of(name: &str, attribute: &Attribute) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    let kind = match attribute {
        Attribute::Float(value) => {
            message.float(2, *value);
            1
        }
        Attribute::Int(value) => {
            message.int(3, *value);
            2
        }
        Attribute::Text(text) => {
            message.text(4, text);
            3
        }
        Attribute::Ints(values) => {
            for value in values {
                message.int(8, *value);
            }
            7
        }
    };
    message.int(20, kind);
    message
}

fn constant_of(constant: &Constant) -> Message {
    let mut message = Message::default();
    for &size in &constant.shape {
        message.int(1, size as i64);
    }
    message.int(2, number_of(constant.element));
    message.text(8, &constant.name);
    message.bytes(9, &constant.bytes);
    message
}

fn value_of(value: &Value) -> Message {
    let mut shape = Message::default();
    for size in &value.shape {
        let mut axis = Message::default();
        match size {
            Size::Fixed(size) => axis.int(1, *size as i64),
            Size::Batch(1) => axis.text(2, BATCH),
            Size::Batch(times) => axis.text(2, &format!("{times}*{BATCH}")),
        }
        shape.message(1, &axis);
    }
    let mut tensor = Message::default();
    tensor.int(1, number_of(value.element));
    tensor.message(2, &shape);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut message = Message::default();
    message.text(1, &value.name);
    message.message(2, &kind);
    message
}

fn number_of(element: Element) -> i64 {
    i64::from(element as i32)
}

/// A message, field by field.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    const VARINT: u64 = 0;
    const BYTES: u64 = 2;
    const FIXED_32: u64 = 5;

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint((field << 3) | wire);
    }

    /// Writes a number; a negative one as its two's complement.
    fn int(&mut self, field: u64, value: i64) {
        self.key(field, Self::VARINT);
        self.varint(value as u64);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, Self::FIXED_32);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, Self::BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_in_the_specification_of_protocol_buffers() {
        let mut message = Message::default();
        message.int(1, 150);
        message.text(2, "testing");
        assert_eq!(
            message.0, *b"\x08\x96\x01\x12\x07testing",
            "the examples of the specification"
        );

        let mut message = Message::default();
        message.int(20, -1);
        message.float(2, 1.0);
        let minus_one = [0xff; 9];
        let expected = [
            &[0xa0, 0x01][..],
            &minus_one,
            &[0x01, 0x15, 0, 0, 0x80, 0x3f],
        ];
        assert_eq!(message.0, expected.concat());
    }
}
