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
/// use burn_distill_interchange::pytorch_layout;
///
/// let linear = LinearConfig::new(4, 2).init(&Device::flex());
/// let layout = pytorch_layout(&linear);
///
/// assert_eq!(layout[0].original, "weight");
/// assert_eq!((&layout[0].shape[..], layout[0].transposed), (&[2, 4][..], true));
/// ```
pub fn pytorch_layout<M: Module>(module: &M) -> Vec<CheckpointTensor> {
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

/// Ends of the types of normalizations, whose `gamma` and `beta` are `weight` and `bias` in PyTorch.
const NORMS: [&str; 5] = [
    "BatchNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "RmsNorm",
];

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
        let is_norm = NORMS.iter().any(|name| self.module.ends_with(name));
        if is_norm && let Some(name) = self.path.last() {
            let name = match name.as_str() {
                "gamma" => "weight",
                "beta" => "bias",
                name => name,
            };
            let parents = &self.path[..self.path.len() - 1];
            let parents = parents.iter().map(String::as_str);
            tensor.original = parents.chain([name]).collect::<Vec<_>>().join(".");
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
    use burn::nn::{
        BatchNormConfig, GroupNormConfig, InstanceNormConfig, LayerNormConfig, RmsNormConfig,
    };
    use burn::tensor::Device;
    use burn_distill_architecture::{NetworkConfig, catalog};
    use burn_distill_core::tensors;

    fn shapes(network: &impl Module) -> Vec<(String, Vec<usize>)> {
        let tensors = tensors(network).into_iter();
        tensors
            .map(|(path, data)| (path, data.shape().as_slice().to_vec()))
            .collect()
    }

    fn names(module: &impl Module) -> Vec<String> {
        let layout = pytorch_layout(module).into_iter();
        layout.map(|tensor| tensor.original).collect()
    }

    #[test]
    fn a_normalization_has_the_names_of_pytorch_alone_and_in_a_module() {
        let device = &Device::flex();
        let layer = LayerNormConfig::new(2).init(device);
        assert_eq!(names(&layer), ["weight", "bias"]);
        let nested = vec![layer];
        assert_eq!(names(&nested), ["0.weight", "0.bias"]);
        assert_eq!(pytorch_layout(&nested)[0].path, "0.gamma");
        assert_eq!(
            names(&BatchNormConfig::new(2).init(device)),
            ["weight", "bias", "running_mean", "running_var"]
        );
        assert_eq!(names(&RmsNormConfig::new(2).init(device)), ["weight"]);
        assert_eq!(
            names(&GroupNormConfig::new(1, 2).init(device)),
            ["weight", "bias"]
        );
        assert_eq!(
            names(&InstanceNormConfig::new(2).init(device)),
            ["weight", "bias"]
        );
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
            let layout = pytorch_layout(&network);
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
