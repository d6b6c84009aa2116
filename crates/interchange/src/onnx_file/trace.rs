//! The operations of a forward pass, as burn records them.

use burn::backend::capture::{CaptureBackend, CapturedGraph, TensorId};
use burn::backend::ir::{OperationIr, TensorIr};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Int, Tensor};
use burn_distill_core::{AnyInput, AnyNetwork, Input, Network, TapSelection, Tokens};
use std::collections::HashMap;

/// Numbers of samples of the two passes, which tell the sizes that depend on the batch from fixed
/// ones.
pub const SAMPLES: [usize; 2] = [2, 3];

/// Two passes over batches of different sizes.
pub struct Traces {
    /// Pass over the first number of [`SAMPLES`], whose tensors are written.
    pub first: Trace,
    /// Pass over the second number.
    pub second: Trace,
}

/// A recorded pass.
pub struct Trace {
    /// Operations and constants.
    pub captured: CapturedGraph,
    /// Names of the parameters: their paths in the module tree.
    pub parameters: HashMap<TensorId, String>,
}

impl Traces {
    /// Records two passes of a network.
    pub fn of(network: &AnyNetwork) -> Result<Self, String> {
        let [first, second] = SAMPLES.map(|samples| Trace::of(network, samples));
        let (first, second) = (first?, second?);
        let [ours, theirs] = [&first, &second].map(|trace| trace.operations().count());
        if ours != theirs {
            return Err(format!(
                "its operations depend on the number of samples in a batch: {ours} for {} samples, but \
                 {theirs} for {}",
                SAMPLES[0], SAMPLES[1]
            ));
        }
        Ok(Self { first, second })
    }

    /// Returns each operation with the same one of the other pass.
    pub fn operations(&self) -> impl Iterator<Item = (&OperationIr, &OperationIr)> {
        self.first.operations().zip(self.second.operations())
    }
}

impl Trace {
    fn of(network: &AnyNetwork, samples: usize) -> Result<Self, String> {
        let own = network.devices().first().cloned().unwrap_or_default();
        let input = network.example(samples, &own);
        // A new device, because the recordings of an earlier pass stay on its device.
        let device = Device::capture();
        let mut boundary = Ok(HashMap::new());
        let captured = device.capture_scope(|scope| {
            // A copy: moving a network also moves its running statistics.
            let network = network.valid().to_device(&device);
            let input = input.to_device(&device);
            let recorded = (|| -> Result<_, String> {
                let mut parameters = Parameters::default();
                network.visit(&mut parameters);
                let inputs = ids_of_input(&input)?;
                let response = network
                    .forward_knowledge(input, &TapSelection::None)
                    .response;
                let Some(logits) = response.classes() else {
                    return Err("it returns no class logits".to_string());
                };
                Ok((inputs, id_of_float(logits)?, parameters.finish()?))
            })();
            match recorded {
                Ok((inputs, output, parameters)) => {
                    boundary = Ok(parameters);
                    scope.complete(inputs, [output])
                }
                Err(reason) => {
                    boundary = Err(reason);
                    scope.complete([], [])
                }
            }
        });
        Ok(Self {
            parameters: boundary?,
            captured: captured.map_err(|error| error.to_string())?,
        })
    }

    /// Returns the operations that compute.
    fn operations(&self) -> impl Iterator<Item = &OperationIr> {
        let all = self.captured.graph.operations.iter();
        all.filter(|operation| !matches!(operation, OperationIr::Init(_) | OperationIr::Drop(_)))
    }

    /// Returns a tensor of the pass.
    pub fn tensor(&self, id: TensorId) -> Option<&TensorIr> {
        let operations = self.captured.graph.operations.iter();
        operations
            .flat_map(OperationIr::nodes)
            .find(|tensor| tensor.id == id)
    }
}

fn ids_of_input(input: &AnyInput) -> Result<Vec<TensorId>, String> {
    Ok(match input {
        AnyInput::Images(images) => vec![id_of_float(images)?],
        AnyInput::Vectors(vectors) => vec![id_of_float(vectors)?],
        AnyInput::Sequences(sequences) => vec![id_of_float(sequences)?],
        AnyInput::Tokens(Tokens { ids, mask }) => vec![id_of_int(ids)?, id_of_bool(mask)?],
    })
}

macro_rules! id_of {
    ($($function:ident($kind:ty)),*) => {$(
        fn $function<const D: usize>(tensor: &Tensor<D, $kind>) -> Result<TensorId, String> {
            let recorded = tensor.clone().try_into_primitive::<CaptureBackend>();
            recorded
                .map(|tensor| tensor.id())
                .map_err(|_| "a tensor of it is on another device than its input".to_string())
        }
    )*};
}

id_of!(
    id_of_float(burn::tensor::Float),
    id_of_int(Int),
    id_of_bool(Bool)
);

/// Collects the names of the parameters.
#[derive(Default)]
struct Parameters {
    path: Vec<String>,
    names: HashMap<TensorId, String>,
    error: Option<String>,
}

impl Parameters {
    fn record(&mut self, id: Result<TensorId, String>) {
        match id {
            Ok(id) => {
                self.names.entry(id).or_insert_with(|| self.path.join("."));
            }
            Err(error) => self.error = Some(error),
        }
    }

    fn finish(self) -> Result<HashMap<TensorId, String>, String> {
        self.error.map_or(Ok(self.names), Err)
    }
}

impl ModuleVisitor for Parameters {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.record(id_of_float(&param.val()));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.record(id_of_int(&param.val()));
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.record(id_of_bool(&param.val()));
    }
}
