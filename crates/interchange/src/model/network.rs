use super::description::ModelDescription;
use burn::tensor::Device;
use burn_distill_architecture::{
    CheckpointTensor, InputView, NetworkConfig, NetworkError, TextClassifierConfig, TextOptions,
    TextSize, ViewedNetwork,
};
use burn_distill_core::{AnyNetwork, Check, DynNetwork, InputShape, any_network, initialize};
use serde_json::Value;

/// Option of every network: the part of the input that it sees.
const VIEW: &str = "view";

/// A network of the architecture crate with its sizes, as a description names it.
pub(super) struct BuiltIn {
    network: SizedNetwork,
    /// The view of inputs of a shape.
    view: Option<(InputView, InputShape)>,
}

enum SizedNetwork {
    Images(NetworkConfig, [usize; 3], usize),
    /// The number of features of a vector, which only a perceptron takes.
    Vectors(NetworkConfig, usize, usize),
    Text(TextClassifierConfig),
}

impl BuiltIn {
    /// Finds the network that a description names.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such network, or if it takes other inputs.
    pub fn of(description: &ModelDescription) -> Result<Self, String> {
        let mut seen = description.clone();
        let Some(view) = seen.architecture.options.remove(VIEW) else {
            let network = SizedNetwork::of(description)?;
            return Ok(Self {
                network,
                view: None,
            });
        };
        let in_view = |error: String| format!("`architecture.options.{VIEW}`: {error}");
        let view: InputView =
            serde_json::from_value(view).map_err(|error| in_view(error.to_string()))?;
        let input = view.shape(&description.input);
        seen.input = input.map_err(|error| in_view(error.to_string()))?;
        Ok(Self {
            network: SizedNetwork::of(&seen)?,
            view: Some((view, description.input.clone())),
        })
    }

    /// Returns the number of parameters, without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error if a number is out of range.
    pub fn parameters(&self) -> Result<usize, NetworkError> {
        self.network.parameters()
    }

    /// Creates the network.
    ///
    /// # Errors
    ///
    /// Returns an error if a number is out of range.
    pub fn init(&self, device: &Device) -> Result<AnyNetwork, NetworkError> {
        let network = self.network.init(device)?;
        Ok(match self.view.clone() {
            None => network,
            Some((view, input)) => {
                let viewed = ViewedNetwork::new(network, view, input);
                DynNetwork::new(viewed.expect("The network is for the view."))
            }
        })
    }

    /// Returns the tensors of the network with their names in the original network.
    ///
    /// # Errors
    ///
    /// Returns an error if a number is out of range.
    pub fn checkpoint(&self) -> Result<Vec<CheckpointTensor>, NetworkError> {
        self.network.checkpoint()
    }
}

impl SizedNetwork {
    fn of(description: &ModelDescription) -> Result<Self, String> {
        let name = &description.architecture.name;
        let classes = description.classes.len();
        let takes = |expected: &str| {
            let input = &description.input;
            format!("its network is `{name}`, which takes {expected}, but `input` is {input}")
        };
        match TextSize::by_name(name) {
            Err(NetworkError::Unknown { .. }) => {}
            Err(error) => return Err(error.to_string()),
            Ok(size) => {
                let InputShape::Tokens { length, vocabulary } = description.input else {
                    return Err(takes("tokens"));
                };
                let options = Value::Object(description.architecture.options.clone());
                let in_options = |error| format!("`architecture.options` of `{name}`: {error}");
                let options: TextOptions = serde_json::from_value(options)
                    .map_err(|error| in_options(error.to_string()))?;
                let config = options
                    .check()
                    .and_then(|()| options.classifier(size, [length, vocabulary], classes));
                return Ok(Self::Text(
                    config.map_err(|error| in_options(error.to_string()))?,
                ));
            }
        }
        let config = match NetworkConfig::by_name(name) {
            Ok(config) => config,
            Err(NetworkError::Unknown { .. }) => {
                return Err(format!(
                    "its network is `{name}`, which is not a network of this library: build the network in \
                     your program and load its weights with `load_into`"
                ));
            }
            Err(error) => return Err(error.to_string()),
        };
        match description.input {
            InputShape::Image(shape) => Ok(Self::Images(config, shape, classes)),
            InputShape::Vector([features]) if config.of_vectors(features, classes).is_some() => {
                Ok(Self::Vectors(config, features, classes))
            }
            _ => Err(takes(match config {
                NetworkConfig::Mlp { .. } => "images or vectors",
                _ => "images",
            })),
        }
    }

    fn parameters(&self) -> Result<usize, NetworkError> {
        let plan = match self {
            Self::Images(config, shape, classes) => config.plan(*shape, *classes)?,
            Self::Vectors(config, features, classes) => {
                let perceptron = config.of_vectors(*features, *classes);
                perceptron.expect("The network takes vectors.").plan()?
            }
            Self::Text(config) => config.plan()?,
        };
        Ok(plan.parameters())
    }

    fn init(&self, device: &Device) -> Result<AnyNetwork, NetworkError> {
        Ok(match self {
            Self::Images(config, shape, classes) => {
                any_network(config.init(*shape, *classes, device)?)
            }
            Self::Vectors(config, features, classes) => {
                let perceptron = config.of_vectors(*features, *classes);
                let perceptron = perceptron.expect("The network takes vectors.");
                perceptron.plan()?;
                any_network(initialize(perceptron.init_vector(device)))
            }
            Self::Text(config) => {
                config.plan()?;
                any_network(initialize(config.init(device)))
            }
        })
    }

    fn checkpoint(&self) -> Result<Vec<CheckpointTensor>, NetworkError> {
        match self {
            Self::Images(config, shape, classes) => config.checkpoint(*shape, *classes),
            Self::Vectors(config, features, classes) => {
                config.checkpoint([*features, 1, 1], *classes)
            }
            Self::Text(config) => config.checkpoint(),
        }
    }
}
