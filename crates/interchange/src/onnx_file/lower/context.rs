use super::super::graph::{Attribute, Constant, Element, Graph, Node, Size, Value};
use super::super::trace::{SAMPLES, Traces};
use burn::backend::capture::TensorId;
use burn::backend::ir::{OperationIr, ScalarIr, TensorIr};
use burn::tensor::DType;
use std::collections::HashMap;

/// The graph so far, and the names of the tensors in it.
pub struct Context<'a> {
    pub graph: Graph,
    traces: &'a Traces,
    names: HashMap<TensorId, String>,
    /// Name of the size of the batch, once a node needs it.
    batch: Option<String>,
    /// Number of names that were made.
    made: usize,
}

/// Attributes of a node.
pub type Attributes = Vec<(&'static str, Attribute)>;

impl<'a> Context<'a> {
    pub fn new(traces: &'a Traces) -> Self {
        Self {
            graph: Graph::default(),
            traces,
            names: HashMap::new(),
            batch: None,
            made: 0,
        }
    }

    /// Adds an input of the graph: the one of the network at this index.
    pub fn input(&mut self, index: usize, name: &str) -> Result<(), String> {
        let ids = [&self.traces.first, &self.traces.second].map(|trace| {
            let inputs = &trace.captured.graph.inputs;
            inputs.get(index).copied()
        });
        let value = self.value(ids, name)?;
        if let [Some(id), _] = ids {
            self.names.insert(id, name.into());
        }
        self.graph.inputs.push(value);
        Ok(())
    }

    /// Sets the name of the tensor that the network takes as its first input.
    pub fn rename_input(&mut self, name: String) {
        if let Some(&id) = self.traces.first.captured.graph.inputs.first() {
            self.names.insert(id, name);
        }
    }

    /// Sets the output of the graph.
    pub fn output(&mut self, name: &str) -> Result<(), String> {
        let ids = [&self.traces.first, &self.traces.second]
            .map(|trace| trace.captured.graph.outputs.first().copied());
        let value = self.value(ids, name)?;
        if let [Some(id), _] = ids {
            self.names.insert(id, name.into());
        }
        self.graph.outputs.push(value);
        Ok(())
    }

    fn value(&self, ids: [Option<TensorId>; 2], name: &str) -> Result<Value, String> {
        let unused = || format!("its result does not depend on `{name}`");
        let [first, second] = ids;
        let first = first
            .and_then(|id| self.traces.first.tensor(id))
            .ok_or_else(unused)?;
        let second = second
            .and_then(|id| self.traces.second.tensor(id))
            .ok_or_else(unused)?;
        Ok(Value {
            name: name.into(),
            element: element_of(first.dtype)?,
            shape: sizes(first, second)?,
        })
    }

    /// Checks that no constant of an operation depends on the number of samples.
    pub fn check_constants(&self, first: &OperationIr, second: &OperationIr) -> Result<(), String> {
        for (first, second) in first.inputs().zip(second.inputs()) {
            let is_constant = self.traces.first.captured.values.contains_key(&first.id)
                && !self.traces.first.captured.graph.inputs.contains(&first.id);
            if is_constant && first.shape != second.shape {
                return Err(format!(
                    "a constant of it has the shape {:?} for {} samples, and {:?} for {}",
                    first.shape, SAMPLES[0], second.shape, SAMPLES[1]
                ));
            }
        }
        Ok(())
    }

    /// Returns the name of a tensor that a node takes, and adds it to the graph if it is a constant.
    pub fn name(&mut self, tensor: &TensorIr) -> Result<String, String> {
        if let Some(name) = self.names.get(&tensor.id) {
            return Ok(name.clone());
        }
        let trace = &self.traces.first;
        let Some(data) = trace.captured.values.get(&tensor.id) else {
            return Err("a tensor of it is used before it is computed".into());
        };
        let name = match trace.parameters.get(&tensor.id) {
            Some(path) if !path.is_empty() => path.clone(),
            _ => self.new_name("constant"),
        };
        let bytes = match data.dtype() {
            // A byte each, however burn stores them.
            DType::Bool(_) => data.iter::<bool>().map(u8::from).collect(),
            _ => data.as_bytes().to_vec(),
        };
        self.graph.constants.push(Constant {
            name: name.clone(),
            shape: data.shape().to_vec(),
            element: element_of(data.dtype())?,
            bytes,
        });
        self.names.insert(tensor.id, name.clone());
        Ok(name)
    }

    fn new_name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}_{}", self.made)
    }

    /// Returns the name of a tensor that a node computes.
    fn name_of_result(&mut self, tensor: &TensorIr) -> String {
        if let Some(name) = self.names.get(&tensor.id) {
            return name.clone();
        }
        let name = self.new_name("tensor");
        self.names.insert(tensor.id, name.clone());
        name
    }

    /// Adds a node that computes a tensor of the network from others of it.
    pub fn node(
        &mut self,
        operator: &'static str,
        inputs: &[&TensorIr],
        output: &TensorIr,
        attributes: Attributes,
    ) -> Result<bool, String> {
        let inputs = inputs.iter().map(|tensor| self.name(tensor));
        let inputs = inputs.collect::<Result<_, _>>()?;
        Ok(self.node_of(operator, inputs, output, attributes))
    }

    /// Adds a node that computes a tensor of the network. Returns true, for the end of a lowering.
    pub fn node_of(
        &mut self,
        operator: &'static str,
        inputs: Vec<String>,
        output: &TensorIr,
        attributes: Attributes,
    ) -> bool {
        let output = self.name_of_result(output);
        self.graph.nodes.push(Node {
            operator,
            inputs,
            output,
            attributes,
        });
        true
    }

    /// Adds a node that computes a tensor which the network does not have, and returns its name.
    pub fn intermediate(
        &mut self,
        operator: &'static str,
        inputs: Vec<String>,
        attributes: Attributes,
    ) -> String {
        let output = self.new_name("part");
        self.graph.nodes.push(Node {
            operator,
            inputs,
            output: output.clone(),
            attributes,
        });
        output
    }

    /// Adds a constant of whole numbers, and returns its name.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let name = self.new_name("constant");
        self.graph.constants.push(Constant {
            name: name.clone(),
            shape: vec![values.len()],
            element: Element::I64,
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        });
        name
    }

    /// Adds a constant of this name, and returns the name.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.graph.constants.push(Constant {
            name: name.into(),
            shape: shape.to_vec(),
            element: Element::F32,
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        });
        name.into()
    }

    /// Adds a constant of one value of this type, without axes, and returns its name.
    pub fn scalar(&mut self, value: ScalarIr, dtype: DType) -> Result<String, String> {
        let element = element_of(dtype)?;
        let bytes = match element {
            Element::F32 => value.elem::<f32>().to_le_bytes().to_vec(),
            Element::I32 => value.elem::<i32>().to_le_bytes().to_vec(),
            Element::I64 => value.elem::<i64>().to_le_bytes().to_vec(),
            Element::Bool => vec![u8::from(value.elem::<bool>())],
        };
        let name = self.new_name("constant");
        self.graph.constants.push(Constant {
            name: name.clone(),
            shape: vec![],
            element,
            bytes,
        });
        Ok(name)
    }

    /// Returns the name of a tensor with these sizes, which may depend on the batch.
    pub fn shape(&mut self, sizes: &[Size]) -> Result<String, String> {
        if let Some(fixed) = fixed(sizes) {
            return Ok(self.ints(&fixed));
        }
        let batch = self.batch()?;
        let parts = sizes.iter().map(|size| match size {
            Size::Fixed(size) => self.ints(&[*size as i64]),
            Size::Batch(1) => batch.clone(),
            Size::Batch(times) => {
                let times = self.ints(&[*times as i64]);
                self.intermediate("Mul", vec![batch.clone(), times], vec![])
            }
        });
        let parts = parts.collect();
        Ok(self.intermediate("Concat", parts, vec![("axis", Attribute::Int(0))]))
    }

    /// Returns the name of the number of samples in a batch.
    fn batch(&mut self) -> Result<String, String> {
        if let Some(name) = &self.batch {
            return Ok(name.clone());
        }
        let Some(input) = self.graph.inputs.first() else {
            return Err("it has no input".into());
        };
        let input = vec![input.name.clone()];
        let shape = self.intermediate("Shape", input, vec![]);
        let first = self.ints(&[0]);
        let batch = self.intermediate(
            "Gather",
            vec![shape, first],
            vec![("axis", Attribute::Int(0))],
        );
        self.batch = Some(batch.clone());
        Ok(batch)
    }
}

/// Returns sizes that do not depend on the batch, if all are such sizes.
fn fixed(sizes: &[Size]) -> Option<Vec<i64>> {
    let sizes = sizes.iter().map(|size| match size {
        Size::Fixed(size) => Some(*size as i64),
        Size::Batch(_) => None,
    });
    sizes.collect()
}

/// Returns the sizes of a tensor, given its shapes in both passes.
pub fn sizes(first: &TensorIr, second: &TensorIr) -> Result<Vec<Size>, String> {
    let pairs = first.shape.iter().zip(second.shape.iter());
    pairs.map(|(&first, &second)| size(first, second)).collect()
}

/// Returns the size that has these values in the two passes.
pub fn size(first: usize, second: usize) -> Result<Size, String> {
    let [samples, others] = SAMPLES;
    if first == second {
        Ok(Size::Fixed(first))
    } else if first.is_multiple_of(samples) && first / samples * others == second {
        Ok(Size::Batch(first / samples))
    } else {
        Err(format!(
            "a size of it is {first} for {samples} samples, and {second} for {others}: it should be \
             the same, or a multiple of the number of samples"
        ))
    }
}

/// Returns the type of the values of a tensor.
pub fn element_of(dtype: DType) -> Result<Element, String> {
    match dtype {
        DType::F32 => Ok(Element::F32),
        DType::I32 => Ok(Element::I32),
        DType::I64 => Ok(Element::I64),
        DType::Bool(_) => Ok(Element::Bool),
        other => Err(format!(
            "it has values of type {other:?}, but F32, I32, I64 or Bool was expected"
        )),
    }
}
