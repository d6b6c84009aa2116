use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};
use burn_distill_architecture::CheckpointTensor;

/// Returns the tensors of a module with the names that they have in PyTorch, for the same modules.
///
/// In PyTorch, the scale and the offset of a normalization are named `weight` and `bias`, and the
/// weights of a linear layer have the shape `[outputs, inputs]`.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use burn_distill_interchange::layout_of;
///
/// let linear = LinearConfig::new(4, 2).init(&Device::flex());
/// let layout = layout_of(&linear);
///
/// assert_eq!(layout[0].original, "weight");
/// assert_eq!((&layout[0].shape[..], layout[0].transposed), (&[2, 4][..], true));
/// ```
pub fn layout_of<M: Module>(module: &M) -> Vec<CheckpointTensor> {
    let mut lister = Lister::default();
    module.visit(&mut lister);
    lister.found.iter().map(Found::in_pytorch).collect()
}

/// Returns a layout by the paths of the tensors in burn, with their shapes there.
pub(super) fn in_burn(layout: &[CheckpointTensor]) -> Vec<CheckpointTensor> {
    let tensors = layout.iter().map(|tensor| {
        let mut shape = tensor.shape.clone();
        if tensor.transposed {
            shape.reverse();
        }
        CheckpointTensor {
            original: tensor.path.clone(),
            path: tensor.path.clone(),
            shape,
            transposed: false,
        }
    });
    tensors.collect()
}

/// A tensor in the module tree.
struct Found {
    path: Vec<String>,
    /// Type of the module that has the tensor.
    module: String,
    shape: Vec<usize>,
}

impl Found {
    fn in_pytorch(&self) -> CheckpointTensor {
        let path = self.path.join(".");
        let mut tensor = CheckpointTensor {
            original: path.clone(),
            path,
            shape: self.shape.clone(),
            transposed: false,
        };
        let is_norm = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm"]
            .iter()
            .any(|name| self.module.ends_with(name));
        if is_norm && let Some((parent, name)) = tensor.path.rsplit_once('.') {
            let name = match name {
                "gamma" => "weight",
                "beta" => "bias",
                name => name,
            };
            tensor.original = format!("{parent}.{name}");
        }
        if self.module.ends_with(":Linear") && self.shape.len() == 2 {
            tensor.shape.reverse();
            tensor.transposed = true;
        }
        tensor
    }
}

#[derive(Default)]
struct Lister {
    path: Vec<String>,
    modules: Vec<String>,
    found: Vec<Found>,
}

impl Lister {
    fn add(&mut self, shape: impl AsRef<[usize]>) {
        self.found.push(Found {
            path: self.path.clone(),
            module: self.modules.last().cloned().unwrap_or_default(),
            shape: shape.as_ref().to_vec(),
        });
    }
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push(name.to_string());
        self.modules.push(container_type.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
        self.modules.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param.lazy_shape().as_slice());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(param.lazy_shape().as_slice());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(param.lazy_shape().as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn_distill_architecture::{NetworkConfig, catalog};
    use burn_distill_core::tensors;

    fn shapes(network: &impl Module) -> Vec<(String, Vec<usize>)> {
        let tensors = tensors(network).into_iter();
        tensors
            .map(|(path, data)| (path, data.shape().as_slice().to_vec()))
            .collect()
    }

    #[test]
    fn the_modules_of_a_network_are_those_of_its_list() {
        let mut compared = 0;
        for entry in catalog() {
            let config = NetworkConfig::by_name(entry.example).unwrap();
            let input = [3, 32, 32];
            if config.plan(input, 5).unwrap().parameters() > 1_000_000 {
                continue;
            }
            let network = config.init(input, 5, &Device::flex()).unwrap();
            let layout = layout_of(&network);
            let listed = config.checkpoint(input, 5).unwrap();
            let modules = |tensors: Vec<CheckpointTensor>| -> Vec<_> {
                let all = tensors.into_iter();
                all.map(|it| (it.path, it.shape, it.transposed)).collect()
            };
            let ours = in_burn(&listed).into_iter();
            assert!(
                ours.map(|it| (it.path, it.shape)).eq(shapes(&network)),
                "{}",
                entry.example
            );
            assert_eq!(modules(layout), modules(listed), "{}", entry.example);
            compared += 1;
        }
        assert!(compared > 10, "{compared}");
    }
}
