//! The parts of an ONNX graph that an export writes.

/// Graph of nodes.
#[derive(Debug, Default)]
pub struct Graph {
    /// Nodes, each after those whose outputs it takes.
    pub nodes: Vec<Node>,
    /// Constants.
    pub constants: Vec<Constant>,
    /// Inputs.
    pub inputs: Vec<Value>,
    /// Outputs.
    pub outputs: Vec<Value>,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Name of the operator.
    pub operator: &'static str,
    /// Names of the inputs; an empty one is left out.
    pub inputs: Vec<String>,
    /// Name of the output.
    pub output: String,
    /// Attributes by their names.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// Value of an attribute.
#[derive(Debug)]
pub enum Attribute {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
    Text(&'static str),
}

/// A tensor in the file.
#[derive(Debug)]
pub struct Constant {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Type.
    pub element: Element,
    /// Values, little-endian.
    pub bytes: Vec<u8>,
}

/// An input or output.
#[derive(Debug)]
pub struct Value {
    /// Name.
    pub name: String,
    /// Type.
    pub element: Element,
    /// Sizes of the axes.
    pub shape: Vec<Size>,
}

/// Size of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A number.
    Fixed(usize),
    /// A multiple of the number of samples in a batch.
    Batch(usize),
}

/// Type of the values of a tensor, by its number in ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Element {
    F32 = 1,
    I32 = 6,
    I64 = 7,
    Bool = 9,
}
