use crate::input::{AnyNetwork, InputKind, InputShape, TypedInput, any_network};
use crate::model::ModelRecipe;
use anyhow::{Result, anyhow, bail, ensure};
use burn::tensor::Device;
use burn_distill::architecture::{
    self, CheckpointTensor, MlpConfig, NetworkConfig, NetworkError, Plan,
};
use burn_distill::core::{CatalogEntry, Input, Network, TapSelection, initialize};
use std::sync::Arc;
use toml::Table;

/// Inputs and classes of a data set, for which networks are initialized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Shape of the input of a sample.
    pub input: InputShape,
    /// Number of classes.
    pub classes: usize,
}

impl Task {
    /// Returns the channels, height and width of an image.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs are not images.
    pub fn image(&self) -> Result<[usize; 3]> {
        match self.input {
            InputShape::Image(shape) => Ok(shape),
            _ => Err(self.other_kind(InputKind::Images)),
        }
    }

    /// Returns the features of a vector.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs are not vectors.
    pub fn vector(&self) -> Result<usize> {
        match self.input {
            InputShape::Vector([features]) => Ok(features),
            _ => Err(self.other_kind(InputKind::Vectors)),
        }
    }

    /// Returns the length of a sequence and the features of its vectors.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs are not sequences of vectors.
    pub fn sequence(&self) -> Result<[usize; 2]> {
        match self.input {
            InputShape::Sequence(shape) => Ok(shape),
            _ => Err(self.other_kind(InputKind::Sequences)),
        }
    }

    /// Returns the length of a sequence of tokens and the size of the vocabulary.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs are not sequences of tokens.
    pub fn tokens(&self) -> Result<[usize; 2]> {
        match self.input {
            InputShape::Tokens { length, vocabulary } => Ok([length, vocabulary]),
            _ => Err(self.other_kind(InputKind::Tokens)),
        }
    }

    fn other_kind(&self, expected: InputKind) -> anyhow::Error {
        anyhow!(
            "the network takes {expected}, but the data is {}",
            self.input
        )
    }
}

/// A network with its options, which is initialized for the data of a recipe.
pub trait Architecture: Send + Sync {
    /// Returns the name in a recipe.
    fn name(&self) -> String;

    /// Initializes the network.
    ///
    /// # Errors
    ///
    /// Returns an error if the network is not for these inputs and classes.
    fn init(&self, task: &Task, device: &Device) -> Result<AnyNetwork>;

    /// Returns the layers of the network, if they are known before it is built.
    ///
    /// # Errors
    ///
    /// Returns an error if the network is not for these inputs and classes.
    fn plan(&self, _task: &Task) -> Result<Option<Plan>> {
        Ok(None)
    }

    /// Returns the tensors of the network by their names in a checkpoint of the original, if they
    /// differ from those that the same modules have in PyTorch.
    ///
    /// # Errors
    ///
    /// Returns an error if the network is not for these inputs and classes.
    fn checkpoint(&self, _task: &Task) -> Result<Option<Vec<CheckpointTensor>>> {
        Ok(None)
    }

    /// Initializes the network with several branches.
    ///
    /// # Errors
    ///
    /// Returns an error if the network does not branch, or is not for these inputs and classes.
    fn init_branched(
        &self,
        _branches: usize,
        _task: &Task,
        _device: &Device,
    ) -> Result<AnyNetwork> {
        bail!(
            "`{}` does not branch: a residual network, or a convolutional network of two stages or \
             more, does",
            self.name()
        )
    }

    /// Returns whether the network takes images of other sizes than that of the data set.
    fn takes_several_sizes(&self) -> bool {
        false
    }
}

/// Networks of a registry whose names follow one pattern.
pub trait NetworkFamily: Send + Sync {
    /// Returns the entries for a list.
    fn entries(&self) -> Vec<CatalogEntry>;

    /// Returns the names that an error may suggest.
    fn examples(&self) -> Vec<&'static str>;

    /// Returns the network of that name with its options, if there is one, or an error if the
    /// options are wrong.
    fn find(&self, model: &ModelRecipe) -> Option<Result<Arc<dyn Architecture>>>;
}

/// The networks of the architecture crate.
pub(super) struct StandardNetworks;

impl NetworkFamily for StandardNetworks {
    fn entries(&self) -> Vec<CatalogEntry> {
        let all = architecture::catalog().iter();
        all.map(|network| CatalogEntry {
            name: network.name,
            abbreviation: "",
            about: "",
            kind: network.kind,
            aliases: network.aliases,
            reference: network.reference,
        })
        .collect()
    }

    fn examples(&self) -> Vec<&'static str> {
        let all = architecture::catalog().iter();
        all.map(|network| network.example).collect()
    }

    fn find(&self, model: &ModelRecipe) -> Option<Result<Arc<dyn Architecture>>> {
        let config = match NetworkConfig::by_name(&model.name) {
            Err(NetworkError::Unknown { .. }) => return None,
            config => config,
        };
        Some(match model.options.keys().next() {
            Some(option) => Err(anyhow!(
                "`{}` has no options, but is given `{option}`: leave it out",
                model.name
            )),
            None => config
                .map(|config| Arc::new(config) as Arc<dyn Architecture>)
                .map_err(Into::into),
        })
    }
}

impl Architecture for NetworkConfig {
    fn name(&self) -> String {
        self.to_string()
    }

    fn init(&self, task: &Task, device: &Device) -> Result<AnyNetwork> {
        if let Some(perceptron) = of_vectors(self, task) {
            perceptron.plan()?;
            let network = initialize(perceptron.init_vector(device));
            return Ok(any_network(network));
        }
        let network = self.init(image_of(self, task)?, task.classes, device)?;
        Ok(any_network(network))
    }

    fn plan(&self, task: &Task) -> Result<Option<Plan>> {
        if let Some(perceptron) = of_vectors(self, task) {
            return Ok(Some(perceptron.plan()?));
        }
        Ok(Some(self.plan(image_of(self, task)?, task.classes)?))
    }

    fn checkpoint(&self, task: &Task) -> Result<Option<Vec<CheckpointTensor>>> {
        Ok(Some(self.checkpoint(task.image()?, task.classes)?))
    }

    fn init_branched(&self, branches: usize, task: &Task, device: &Device) -> Result<AnyNetwork> {
        let network = self.init_branched(branches, task.image()?, task.classes, device)?;
        Ok(any_network(network))
    }

    /// Other networks do not: a perceptron has a weight for each pixel, and a transformer a
    /// position for each patch.
    fn takes_several_sizes(&self) -> bool {
        matches!(
            self,
            Self::ConvNet { .. }
                | Self::ResNet { .. }
                | Self::WideResNet { .. }
                | Self::Published(_)
        )
    }
}

/// Returns the perceptron of a configuration, if the inputs are vectors: of the networks of images, it
/// alone takes them.
fn of_vectors(network: &NetworkConfig, task: &Task) -> Option<MlpConfig> {
    match task.input {
        InputShape::Vector([features]) => network.of_vectors(features, task.classes),
        _ => None,
    }
}

/// Returns the shape of the images that a network of images is for.
fn image_of(network: &NetworkConfig, task: &Task) -> Result<[usize; 3]> {
    match network {
        NetworkConfig::Mlp { .. } => task.image().map_err(|_| {
            anyhow!(
                "the network takes images or vectors, but the data is {}",
                task.input
            )
        }),
        _ => task.image(),
    }
}

/// Checks that a network returns a logit for each class of each sample.
fn check_output(network: &AnyNetwork, task: &Task, device: &Device) -> Result<()> {
    const SAMPLES: usize = 2;
    let example = network.example(SAMPLES, device);
    let response = network
        .forward_knowledge(example, &TapSelection::None)
        .response;
    let Some(logits) = response.classes() else {
        bail!(
            "the network should return class logits, `Response::Classes`, but returns another response"
        );
    };
    let expected = [SAMPLES, task.classes];
    ensure!(
        logits.dims() == expected,
        "the network should return logits of shape {expected:?} for {SAMPLES} samples, a logit for each class, \
         but their shape is {:?}",
        logits.dims()
    );
    Ok(())
}

/// Function that initializes a network of a program.
type Build = dyn Fn(&Table, &Task, &Device) -> Result<AnyNetwork> + Send + Sync;

/// A network of a program, with its options.
#[derive(Clone)]
pub(super) struct OwnNetwork {
    name: &'static str,
    options: Table,
    build: Arc<Build>,
}

impl OwnNetwork {
    /// Creates the family of one network.
    pub(super) fn family<N, F>(name: &'static str, build: F) -> Arc<dyn NetworkFamily>
    where
        N: Network<Input: TypedInput>,
        F: Fn(&Table, &Task, &Device) -> Result<N> + Send + Sync + 'static,
    {
        let checked = move |options: &Table, task: &Task, device: &Device| {
            // Before it is built: the function may ignore the inputs.
            if N::Input::KIND != task.input.kind() {
                return Err(task.other_kind(N::Input::KIND));
            }
            let network = build(options, task, device)?;
            let network = any_network(network);
            let taken = network.example(1, device);
            ensure!(
                taken.sample_shape() == Some(task.input.sample_shape()),
                "the network takes {}, but the data is {}",
                taken.in_words(),
                task.input
            );
            check_output(&network, task, device)?;
            Ok(network)
        };
        Arc::new(Self {
            name,
            options: Table::new(),
            build: Arc::new(checked),
        })
    }
}

impl NetworkFamily for OwnNetwork {
    fn entries(&self) -> Vec<CatalogEntry> {
        vec![CatalogEntry::custom(self.name)]
    }

    fn examples(&self) -> Vec<&'static str> {
        vec![self.name]
    }

    fn find(&self, model: &ModelRecipe) -> Option<Result<Arc<dyn Architecture>>> {
        let found = || {
            let options = model.options.clone();
            Ok(Arc::new(Self {
                options,
                ..self.clone()
            }) as Arc<dyn Architecture>)
        };
        (model.name == self.name).then(found)
    }
}

impl Architecture for OwnNetwork {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn init(&self, task: &Task, device: &Device) -> Result<AnyNetwork> {
        (self.build)(&self.options, task, device)
    }
}
