use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn_distill_core::{NetworkMismatch, is_buffer};
use std::collections::{BTreeMap, BTreeSet};

/// Position in a module tree, which a visitor or mapper updates.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    names: Vec<String>,
    containers: Vec<String>,
}

impl Position {
    pub fn enter(&mut self, name: &str, container: &str) {
        self.names.push(name.to_string());
        self.containers.push(container.to_string());
    }

    pub fn exit(&mut self) {
        self.names.pop();
        self.containers.pop();
    }

    /// Returns the path of the tensor at this position.
    pub fn path(&self) -> String {
        self.names.join(".")
    }

    /// Returns whether the tensor at this position is the weight of a linear layer, whose rows are
    /// the inputs. In PyTorch they are the outputs.
    pub fn is_linear_weight(&self) -> bool {
        let name = self.names.last().map(String::as_str);
        let container = self.containers.last().map(String::as_str);
        (name, container) == (Some("weight"), Some("Struct:Linear"))
    }

    /// Returns the path of the layer of the tensor at this position.
    fn layer(&self) -> String {
        let [layer @ .., _] = self.names.as_slice() else {
            return String::new();
        };
        layer.join(".")
    }
}

/// A parameter of a network.
pub(super) struct Parameter {
    pub path: String,
    pub rank: usize,
    /// Number of weights.
    pub count: usize,
    pub is_buffer: bool,
    layer: String,
}

/// Returns every float tensor of a network in its order, without reading values.
pub(super) fn parameters<M: Module>(network: &M) -> Vec<Parameter> {
    #[derive(Default)]
    struct Reader {
        position: Position,
        parameters: Vec<Parameter>,
    }

    impl ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.position.enter(name, container);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.position.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.parameters.push(Parameter {
                path: self.position.path(),
                rank: D,
                count: param.lazy_shape().num_elements(),
                is_buffer: is_buffer(&self.position.names),
                layer: self.position.layer(),
            });
        }
    }

    let mut reader = Reader::default();
    network.visit(&mut reader);
    reader.parameters
}

/// Quantized parameters of a network: each path with its number, in the order of the network.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scope(BTreeMap<String, usize>);

impl Scope {
    /// Selects the parameters of a network of at least this rank that belong to none of the
    /// excluded parts.
    ///
    /// # Errors
    ///
    /// Returns an error if the network has no such part, or if no parameter is left.
    pub fn new(
        parameters: &[Parameter],
        least_rank: usize,
        except: &[String],
        keeps_ends: bool,
    ) -> Result<Self, NetworkMismatch> {
        for part in except {
            if !parameters
                .iter()
                .any(|parameter| is_in(&parameter.path, part))
            {
                return Err(NetworkMismatch::Network(format!(
                    "The network has no part `{part}` to leave in full precision: its tensors are {}.",
                    listed(parameters)
                )));
            }
        }
        let mut kept = BTreeSet::new();
        if keeps_ends {
            let mut layers = parameters.iter().filter(|parameter| parameter.rank > 1);
            let first = layers.next();
            kept.extend(
                first
                    .into_iter()
                    .chain(layers.next_back())
                    .map(|p| &p.layer),
            );
        }
        let selected = parameters.iter().filter(|parameter| {
            let excluded = except.iter().any(|part| is_in(&parameter.path, part));
            let by_end = kept.contains(&parameter.layer);
            parameter.rank >= least_rank && !parameter.is_buffer && !excluded && !by_end
        });
        let selected = selected.zip(0..);
        let scope: BTreeMap<_, _> = selected.map(|(p, index)| (p.path.clone(), index)).collect();
        match scope.is_empty() {
            false => Ok(Self(scope)),
            true => Err(NetworkMismatch::Network(format!(
                "No tensor of the network is left to be quantized: exclude fewer of its tensors, which \
                 are {}.",
                listed(parameters)
            ))),
        }
    }

    /// Returns the number of a parameter, if it is quantized.
    pub fn number(&self, path: &str) -> Option<usize> {
        self.0.get(path).copied()
    }
}

/// Returns whether a part is a run of whole names in a path, such as `fc`, `layer.0` or `bn.gamma`.
fn is_in(path: &str, part: &str) -> bool {
    !part.is_empty() && format!(".{path}.").contains(&format!(".{part}."))
}

fn listed(parameters: &[Parameter]) -> String {
    let trained = parameters.iter().filter(|parameter| !parameter.is_buffer);
    let names: Vec<_> = trained.map(|p| format!("`{}`", p.path)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::tensor::Device;

    fn scope(rank: usize, except: &[&str], keeps_ends: bool) -> Result<Vec<String>, String> {
        let network = NetworkConfig::by_name("convnet-4-6-8").unwrap();
        let network = network.init([1, 8, 8], 3, &Device::default()).unwrap();
        let except: Vec<_> = except.iter().map(|part| part.to_string()).collect();
        let scope = Scope::new(&parameters(&network), rank, &except, keeps_ends);
        let scope = scope.map_err(|error| error.to_string())?;
        let mut paths: Vec<_> = scope.0.into_iter().collect();
        paths.sort_by_key(|(_, number)| *number);
        Ok(paths.into_iter().map(|(path, _)| path).collect())
    }

    #[test]
    fn running_statistics_are_not_quantized_but_everything_else_is() {
        let paths = scope(1, &[], false).unwrap();

        assert_eq!(
            paths[..3],
            ["layer.0.conv.weight", "layer.0.bn.gamma", "layer.0.bn.beta"]
        );
        assert_eq!(paths.len(), 3 * 3 + 2);
        assert!(!paths.iter().any(|path| path.contains("running")));
    }

    #[test]
    fn parts_are_whole_names_anywhere_in_a_path() {
        let paths = scope(1, &["bn", "layer.0", "bias"], false).unwrap();
        assert_eq!(
            paths,
            ["layer.1.conv.weight", "layer.2.conv.weight", "fc.weight"]
        );

        let error = scope(1, &["lay"], false).unwrap_err();
        assert!(
            error.starts_with("The network has no part `lay`"),
            "{error}"
        );
        let error = scope(1, &["layer", "fc"], false).unwrap_err();
        assert!(
            error.starts_with("No tensor of the network is left"),
            "{error}"
        );
    }

    #[test]
    fn the_first_and_the_last_layer_are_those_of_the_outermost_matrices() {
        let paths = scope(2, &[], true).unwrap();
        assert_eq!(paths, ["layer.1.conv.weight", "layer.2.conv.weight"]);

        // Their biases belong to them, other vectors do not.
        let paths = scope(1, &["layer.1", "layer.2"], true).unwrap();
        assert_eq!(paths, ["layer.0.bn.gamma", "layer.0.bn.beta"]);
    }
}
