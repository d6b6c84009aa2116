use crate::numeric::at_least_f32;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Gradients, Int, Tensor, TensorData};

/// Counts the trainable parameters of a module.
///
/// Like the literature, and unlike burn's `num_params`, it does not count the running statistics of
/// normalization layers.
pub fn parameter_count<M: Module>(module: &M) -> usize {
    #[derive(Default)]
    struct Counter {
        path: Vec<String>,
        count: usize,
    }

    impl ModuleVisitor for Counter {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !is_buffer(&self.path) {
                self.count += param.lazy_shape().num_elements();
            }
        }
    }

    let mut counter = Counter::default();
    module.visit(&mut counter);
    counter.count
}

/// Returns whether a module has parameters on a device with autodiff, or on one without.
pub(crate) fn has_parameters_with<M: Module>(module: &M, autodiff: bool) -> bool {
    struct Search {
        autodiff: bool,
        found: bool,
    }

    impl ModuleVisitor for Search {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found |= param.lazy_device().is_autodiff() == self.autodiff;
        }
    }

    let mut search = Search {
        autodiff,
        found: false,
    };
    module.visit(&mut search);
    search.found
}

/// Returns whether the path of a tensor in a module is that of a running statistic or of a
/// [`Buffer`](crate::Buffer), and not of a parameter.
pub fn is_buffer<S: AsRef<str>>(path: &[S]) -> bool {
    let name = path.last();
    name.is_some_and(|name| name.as_ref().starts_with("running_"))
}

/// Joins the parameters of a module to one vector, in their order in the module tree, so that
/// gradients of the vector flow to them.
///
/// Running statistics are not a part of it, nor are the parameters for whose path `skips` is true.
/// The vector is in at least single precision. Shape of the output: `[parameters]`.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use burn_distill_core::parameter_vector;
///
/// let linear = LinearConfig::new(2, 3).init(&Device::default());
///
/// assert_eq!(parameter_vector(&linear, |_| false).dims(), [9]);
/// assert_eq!(parameter_vector(&linear, |path| path == "bias").dims(), [6]);
/// ```
pub fn parameter_vector<M: Module>(module: &M, skips: impl Fn(&str) -> bool) -> Tensor<1> {
    struct OfParameters;

    impl Values for OfParameters {
        fn of<const D: usize>(&self, parameter: Tensor<D>) -> Tensor<D> {
            parameter
        }
    }

    joined(module, skips, OfParameters)
}

/// Values of each parameter that are joined to a vector.
trait Values {
    /// Returns the values of a parameter, in its shape.
    fn of<const D: usize>(&self, parameter: Tensor<D>) -> Tensor<D>;
}

/// Joins values of the parameters of a module to one vector.
fn joined<M: Module>(module: &M, skips: impl Fn(&str) -> bool, values: impl Values) -> Tensor<1> {
    struct Joiner<S, V> {
        path: Vec<String>,
        skips: S,
        values: V,
        parts: Vec<Tensor<1>>,
    }

    impl<S: Fn(&str) -> bool, V: Values> ModuleVisitor for Joiner<S, V> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if is_buffer(&self.path) || (self.skips)(&self.path.join(".")) {
                return;
            }
            let values = at_least_f32(self.values.of(param.val()));
            let count = values.shape().num_elements();
            self.parts.push(values.reshape([count]));
        }
    }

    let mut joiner = Joiner {
        path: Vec::new(),
        skips,
        values,
        parts: Vec::new(),
    };
    module.visit(&mut joiner);
    assert!(
        !joiner.parts.is_empty(),
        "A vector of parameters needs at least one, but the module has none, or all are skipped."
    );
    Tensor::cat(joiner.parts, 0)
}

/// Joins the gradients of the parameters of a module to one vector, like [`parameter_vector`]. A
/// parameter without a gradient has zeros.
pub fn gradient_vector<M: Module>(
    module: &M,
    gradients: &Gradients,
    skips: impl Fn(&str) -> bool,
) -> Tensor<1> {
    struct OfGradients<'a>(&'a Gradients);

    impl Values for OfGradients<'_> {
        fn of<const D: usize>(&self, parameter: Tensor<D>) -> Tensor<D> {
            match parameter.grad(self.0) {
                Some(gradient) => gradient,
                None => parameter.without_autodiff().zeros_like(),
            }
        }
    }

    joined(module, skips, OfGradients(gradients))
}

/// Draws the initial values of all parameters now, in their order in the module tree.
///
/// burn draws them at first use, so they depend on the order of the forward pass and on other draws
/// from the generator in between. With this function, they depend only on the seed.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use burn_distill_core::initialize;
///
/// let device = Device::default();
/// device.seed(7);
/// let linear = initialize(LinearConfig::new(2, 3).init(&device));
/// ```
pub fn initialize<M: Module>(module: M) -> M {
    struct Initializer;

    impl ModuleVisitor for Initializer {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            param.val();
        }

        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            param.val();
        }

        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
            param.val();
        }
    }

    module.visit(&mut Initializer);
    module
}

/// Reads every tensor of a module back to the host, with its path: parameters and statistics.
///
/// It serves to compare two states of a module bit by bit.
pub fn tensors<M: Module>(module: &M) -> Vec<(String, TensorData)> {
    #[derive(Default)]
    struct Reader {
        path: Vec<String>,
        tensors: Vec<(String, TensorData)>,
    }

    impl Reader {
        fn read(&mut self, data: TensorData) {
            self.tensors.push((self.path.join("."), data));
        }
    }

    impl ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.read(param.val().into_data());
        }

        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            self.read(param.val().into_data());
        }

        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
            self.read(param.val().into_data());
        }
    }

    let mut reader = Reader::default();
    module.visit(&mut reader);
    reader.tensors
}

/// Asserts that no two of the modules have the same parameters.
///
/// Modules that learn from each other, such as peers, must differ. `kind` is their name in the
/// message, in the plural, such as `Peers`; they are counted from 1.
///
/// # Panics
///
/// Panics if two modules have the same parameters.
pub fn assert_parameters_differ<'a, M: Module + 'a>(
    kind: &str,
    modules: impl IntoIterator<Item = &'a M>,
) {
    let states: Vec<_> = modules.into_iter().map(tensors).collect();
    for (index, state) in states.iter().enumerate() {
        if let Some(twin) = states[..index].iter().position(|other| other == state) {
            panic!(
                "{kind} {} and {} have the same parameters, so they would learn nothing from each \
                 other: initialize them from different seeds.",
                twin + 1,
                index + 1
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{BatchNormConfig, LinearConfig};
    use burn::tensor::Device;

    #[test]
    fn running_statistics_are_not_counted() {
        let norm = BatchNormConfig::new(8).init(&Device::default());

        assert_eq!(Module::num_params(&norm), 32);
        assert_eq!(parameter_count(&norm), 16);
        assert_eq!(tensors(&norm).len(), 4);
    }

    #[test]
    fn biases_are_counted() {
        let linear = LinearConfig::new(3, 5).init(&Device::default());

        assert_eq!(parameter_count(&linear), 20);
    }
}
