use super::dataset::{DatasetSpec, NamedDataset};
use super::network::{Architecture, OwnNetwork, Task};
use super::networks::{Networks, unknown};
use crate::dataset::AnyDataset;
use crate::input::{AnyNetwork, TypedInput};
use crate::loss::{LossEntry, Losses};
use crate::model::ModelRecipe;
use crate::naming::assert_names;
use crate::strategy::{self, StrategyEntry, TABLES};
use anyhow::Result;
use burn::tensor::Device;
use burn_distill::core::{CatalogEntry, Network, Seed, nearest};
use burn_distill::data::{DataSource, DatasetName, TrainTestData};
use std::fmt;
use std::sync::{Arc, OnceLock};
use toml::Table;

/// The networks, losses, strategies and data sets that recipes can name.
///
/// [`standard`](Self::standard) holds those of the toolkit, and a program adds more:
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
    networks: Networks,
    losses: Losses,
    strategies: Vec<StrategyEntry>,
    datasets: Vec<NamedDataset>,
    source: DataSource,
}

impl Registry {
    /// Returns the registry of the toolkit, without additions.
    pub fn standard() -> Self {
        static STANDARD: OnceLock<Registry> = OnceLock::new();
        let new = || {
            Self(Arc::new(Entries {
                networks: Networks::standard(),
                losses: Losses::standard(),
                strategies: strategy::entries(),
                datasets: DatasetName::ALL.map(NamedDataset::standard).to_vec(),
                source: DataSource::default(),
            }))
        };
        STANDARD.get_or_init(new).clone()
    }

    /// Adds a network under a name. `build` initializes it from the options in a recipe, for the
    /// inputs and classes of a data set: the example input of the network has the shape of these
    /// inputs.
    ///
    /// [`configured`](crate::configured) reads a configuration from the options.
    ///
    /// # Panics
    ///
    /// Panics if the name is empty, or if there is a network of this name.
    pub fn with_network<N, F>(mut self, name: &'static str, build: F) -> Self
    where
        N: Network<Input: TypedInput>,
        F: Fn(&Table, &Task, &Device) -> Result<N> + Send + Sync + 'static,
    {
        self.entries()
            .networks
            .add(name, OwnNetwork::family(name, build));
        self
    }

    /// Adds a loss.
    ///
    /// # Panics
    ///
    /// Panics if its name or an alias is empty, repeated, or taken by another loss.
    pub fn with_loss(mut self, loss: LossEntry) -> Self {
        self.entries().losses.add(loss);
        self
    }

    /// Adds a strategy.
    ///
    /// # Panics
    ///
    /// Panics if its name or an alias is empty, repeated, or taken by another strategy.
    pub fn with_strategy(mut self, strategy: StrategyEntry) -> Self {
        assert_names("strategy", "strategies", &strategy.catalog, |name| {
            self.strategy_catalog().iter().any(|it| it.has_name(name))
        });
        self.entries().strategies.push(strategy);
        self
    }

    /// Adds a data set under a name. `load` is called once, at the first recipe that names it, with
    /// the folder of the data sets.
    ///
    /// # Panics
    ///
    /// Panics if the name is empty, or if there is a data set of this name.
    pub fn with_dataset<D, F>(mut self, name: &'static str, load: F) -> Self
    where
        D: Into<TrainTestData<AnyDataset>>,
        F: Fn(&DataSource) -> Result<D> + Send + Sync + 'static,
    {
        let dataset = NamedDataset::own(name, load);
        assert_names("data set", "data sets", &dataset.entry, |name| {
            self.datasets().any(|it| it.has_name(name))
        });
        self.entries().datasets.push(dataset);
        self
    }

    /// Sets the location of the files of data sets.
    pub fn with_data_source(mut self, source: DataSource) -> Self {
        self.entries().source = source;
        self
    }

    /// Returns the location of the files of data sets.
    pub fn data_source(&self) -> &DataSource {
        &self.0.source
    }

    /// Returns the networks.
    pub fn networks(&self) -> &Networks {
        &self.0.networks
    }

    /// Returns the losses.
    pub fn losses(&self) -> &Losses {
        &self.0.losses
    }

    /// Returns the strategies that `[strategy]` can name.
    pub fn strategies(&self) -> &[StrategyEntry] {
        &self.0.strategies
    }

    /// Returns the entries of all strategies, for a list, including those that a recipe configures
    /// in tables other than `[strategy]`.
    pub fn strategy_catalog(&self) -> Vec<CatalogEntry> {
        let strategies = self.0.strategies.iter();
        let mut catalog: Vec<_> = strategies.map(|entry| entry.catalog.clone()).collect();
        let tables = TABLES.into_iter().map(|tables| tables.catalog);
        catalog.splice(1..1, tables);
        catalog
    }

    /// Returns the entries of the data sets, for a list.
    pub fn datasets(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.0.datasets.iter().map(|dataset| &dataset.entry)
    }

    /// Returns the architecture of a network.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Networks::get`].
    pub fn network(&self, model: &ModelRecipe) -> Result<Arc<dyn Architecture>> {
        self.0.networks.get(model)
    }

    /// Initializes a network, whose initial weights depend on the seed and not on the device.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Networks::build`].
    pub fn build(
        &self,
        model: &ModelRecipe,
        task: &Task,
        seed: impl Into<Seed>,
        device: &Device,
    ) -> Result<AnyNetwork> {
        self.0.networks.build(model, task, seed, device)
    }

    /// Returns the name of a data set, given its name or an alias.
    ///
    /// # Errors
    ///
    /// Returns an error that suggests the nearest name if there is no data set of this name.
    pub fn dataset_name(&self, name: &str) -> Result<&'static str> {
        Ok(self.dataset(name)?.entry.name)
    }

    /// Returns the shapes and sizes of a data set.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no data set of this name, or if it has to be loaded and cannot
    /// be.
    pub fn spec(&self, dataset: &str) -> Result<DatasetSpec> {
        self.dataset(dataset)?.source.spec(&self.0.source)
    }

    /// Loads a data set.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no data set of this name, or if it cannot be loaded.
    pub fn load(&self, dataset: &str) -> Result<TrainTestData<AnyDataset>> {
        self.dataset(dataset)?.source.load(&self.0.source)
    }

    fn dataset(&self, name: &str) -> Result<&NamedDataset> {
        let mut datasets = self.0.datasets.iter();
        datasets
            .find(|dataset| dataset.entry.has_name(name))
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

impl Default for Registry {
    fn default() -> Self {
        Self::standard()
    }
}

/// Two registries are equal if they know the same names.
impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        let networks = |registry: &Self| registry.networks().entries().collect::<Vec<_>>();
        networks(self) == networks(other)
            && self.losses().entries().eq(other.losses().entries())
            && self.strategy_catalog() == other.strategy_catalog()
            && self.datasets().eq(other.datasets())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("networks", &self.networks().entries().count())
            .field("losses", &self.losses().entries().count())
            .field("strategies", &self.strategies().len())
            .field("datasets", &self.0.datasets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
