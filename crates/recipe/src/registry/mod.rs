//! The networks, losses and data sets that recipes can name.

mod dataset;
mod network;

pub use dataset::{DatasetSource, DatasetSpec};
pub use network::{Architecture, NetworkFamily, Task};

use crate::dataset::AnyDataset;
use crate::input::{AnyNetwork, TypedInput};
use crate::loss::{LossEntry, Losses};
use crate::model::ModelRecipe;
use crate::network::seeded;
use anyhow::{Result, anyhow};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{CatalogEntry, Network, Seed, nearest};
use burn_distill::data::{DataSource, DatasetName, Published};
use dataset::{NamedDataset, OwnDataset};
use network::{OwnNetwork, StandardNetworks};
use std::fmt;
use std::sync::{Arc, OnceLock};
use toml::Table;

/// The networks, losses and data sets that recipes can name.
///
/// [`standard`](Self::standard) holds those of the toolkit; a program adds its own to them:
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use burn_distill::core::{Network, Response, TapRecorder};
/// use burn_distill_recipe::{ModelRecipe, Registry, Task};
///
/// #[derive(Module, Debug)]
/// struct Regression {
///     linear: Linear,
/// }
///
/// impl Network for Regression {
///     type Input = Tensor<2>;
///
///     fn forward_tapped(&self, input: Tensor<2>, _: &mut TapRecorder) -> Response {
///         Response::Classes(self.linear.forward(input))
///     }
///
///     fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
///         Tensor::zeros([samples, self.linear.weight.dims()[0]], device)
///     }
/// }
///
/// let registry = Registry::standard().with_network("regression", |_, task, device| {
///     let linear = LinearConfig::new(task.vector()?, task.classes).init(device);
///     Ok(Regression { linear })
/// });
///
/// let error = registry.network(&ModelRecipe::from("regresion")).err().unwrap();
/// assert!(error.to_string().contains("did you mean `regression`?"));
/// ```
#[derive(Clone)]
pub struct Registry(Arc<Entries>);

#[derive(Clone)]
struct Entries {
    networks: Vec<Arc<dyn NetworkFamily>>,
    losses: Losses,
    datasets: Vec<NamedDataset>,
    source: DataSource,
}

impl Registry {
    /// Returns the registry of what the toolkit has.
    pub fn standard() -> Self {
        static STANDARD: OnceLock<Registry> = OnceLock::new();
        let new = || {
            Self(Arc::new(Entries {
                networks: vec![Arc::new(StandardNetworks)],
                losses: Losses::standard(),
                datasets: DatasetName::ALL.map(NamedDataset::standard).to_vec(),
                source: DataSource::default(),
            }))
        };
        STANDARD.get_or_init(new).clone()
    }

    /// Adds a network under a name. `build` initializes it from the options that a recipe gives, for
    /// the inputs and classes of a data set: the network's example has the shape of its inputs.
    ///
    /// [`configured`](crate::configured) makes a configuration of the options.
    ///
    /// # Panics
    ///
    /// Panics if there is a network of this name.
    pub fn with_network<N, F>(mut self, name: &'static str, build: F) -> Self
    where
        N: Network<Input: TypedInput>,
        F: Fn(&Table, &Task, &Device) -> Result<N> + Send + Sync + 'static,
    {
        assert!(
            self.found(&name.into()).is_none(),
            "There are two networks named `{name}`: give one of them another name."
        );
        self.entries()
            .networks
            .push(OwnNetwork::family(name, build));
        self
    }

    /// Adds a loss.
    ///
    /// # Panics
    ///
    /// Panics if there is a loss of its name or of one of its aliases.
    pub fn with_loss(mut self, loss: LossEntry) -> Self {
        self.entries().losses.add(loss);
        self
    }

    /// Adds a data set under a name. `load` is called once, at the first recipe that names it, with the
    /// folder that data sets are looked for in.
    ///
    /// # Panics
    ///
    /// Panics if there is a data set of this name.
    pub fn with_dataset<D, F>(mut self, name: &'static str, load: F) -> Self
    where
        D: Into<Published<AnyDataset>>,
        F: Fn(&DataSource) -> Result<D> + Send + Sync + 'static,
    {
        assert!(
            !self.0.datasets.iter().any(|it| it.entry.is_called(name)),
            "There are two data sets named `{name}`: give one of them another name."
        );
        self.entries().datasets.push(OwnDataset::named(name, load));
        self
    }

    /// Sets where the files of data sets are.
    pub fn with_data_source(mut self, source: DataSource) -> Self {
        self.entries().source = source;
        self
    }

    /// Returns the entries of the networks, for a list.
    pub fn networks(&self) -> impl Iterator<Item = CatalogEntry> {
        self.0.networks.iter().flat_map(|family| family.entries())
    }

    /// Returns the losses.
    pub fn losses(&self) -> &Losses {
        &self.0.losses
    }

    /// Returns the entries of the data sets, for a list.
    pub fn datasets(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.0.datasets.iter().map(|dataset| &dataset.entry)
    }

    /// Returns the architecture of a network.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no network of this name, with the nearest one, or if it has no such
    /// options.
    pub fn network(&self, model: &ModelRecipe) -> Result<Arc<dyn Architecture>> {
        self.found(model).unwrap_or_else(|| {
            let families = self.0.networks.iter();
            let examples: Vec<_> = families.flat_map(|family| family.examples()).collect();
            let known: Vec<_> = self.networks().map(|entry| entry.name).collect();
            let spelled = model.name.to_lowercase().replace('_', "-");
            let hint = nearest(&spelled, examples.iter().copied());
            Err(unknown("network", &model.name, hint, &known))
        })
    }

    fn found(&self, model: &ModelRecipe) -> Option<Result<Arc<dyn Architecture>>> {
        self.0.networks.iter().find_map(|family| family.find(model))
    }

    /// Initializes a network, whose initial weights depend on the seed and not on the device.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such network, or if it is not for these inputs and classes.
    pub fn build(
        &self,
        model: &ModelRecipe,
        task: &Task,
        seed: impl Into<Seed>,
        device: &Device,
    ) -> Result<AnyNetwork> {
        let architecture = self.network(model)?;
        let network = seeded(seed, || architecture.init(task, &Device::flex()))?;
        Ok(network.to_device(device))
    }

    /// Returns the name of a data set, given it or an alias.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no data set of this name, with the nearest one.
    pub fn dataset_name(&self, name: &str) -> Result<&'static str> {
        Ok(self.dataset(name)?.entry.name)
    }

    /// Returns what is known of a data set before it is used.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no data set of this name, or if it has to be loaded and cannot be.
    pub fn spec(&self, dataset: &str) -> Result<DatasetSpec> {
        self.dataset(dataset)?.source.spec(&self.0.source)
    }

    /// Loads a data set.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no data set of this name, or if it cannot be loaded.
    pub fn load(&self, dataset: &str) -> Result<Published<AnyDataset>> {
        self.dataset(dataset)?.source.load(&self.0.source)
    }

    fn dataset(&self, name: &str) -> Result<&NamedDataset> {
        let mut datasets = self.0.datasets.iter();
        datasets
            .find(|dataset| dataset.entry.is_called(name))
            .ok_or_else(|| {
                let known: Vec<_> = self.datasets().map(|entry| entry.name).collect();
                let hint = nearest(name, known.iter().copied());
                unknown("data set", name, hint, &known)
            })
    }

    fn entries(&mut self) -> &mut Entries {
        Arc::make_mut(&mut self.0)
    }
}

/// Returns the error about a name that there is not.
fn unknown(what: &str, name: &str, nearest: Option<&str>, known: &[&str]) -> anyhow::Error {
    let hint = nearest.map(|nearest| format!(", did you mean `{nearest}`?"));
    anyhow!(
        "no {what} named `{name}`{}; known are {}",
        hint.unwrap_or_default(),
        known.join(", ")
    )
}

impl Default for Registry {
    fn default() -> Self {
        Self::standard()
    }
}

/// Two registries are equal if they know the same names.
impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        self.networks().eq(other.networks())
            && self.losses().entries().eq(other.losses().entries())
            && self.datasets().eq(other.datasets())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("networks", &self.networks().count())
            .field("losses", &self.losses().entries().count())
            .field("datasets", &self.0.datasets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
