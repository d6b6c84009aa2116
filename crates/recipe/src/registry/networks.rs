use super::network::{Architecture, NetworkFamily, StandardNetworks, Task};
use super::text_networks::TextNetworks;
use super::viewed::{self, Viewed};
use crate::input::AnyNetwork;
use crate::model::ModelRecipe;
use crate::naming::assert_names;
use crate::network::seeded;
use anyhow::{Result, anyhow};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{CatalogEntry, Seed, nearest};
use std::sync::Arc;

/// The networks that recipes can name.
#[derive(Clone)]
pub struct Networks(Vec<Arc<dyn NetworkFamily>>);

impl Networks {
    /// Returns the networks of the toolkit.
    pub fn standard() -> Self {
        Self(vec![Arc::new(StandardNetworks), Arc::new(TextNetworks)])
    }

    /// Adds a network.
    ///
    /// # Panics
    ///
    /// Panics if the name is empty, or if there is a network of this name.
    pub(super) fn add(&mut self, name: &'static str, network: Arc<dyn NetworkFamily>) {
        assert_names("network", "networks", &CatalogEntry::custom(name), |name| {
            self.found(&name.into()).is_some()
        });
        self.0.push(network);
    }

    /// Returns the entries, for a list.
    pub fn entries(&self) -> impl Iterator<Item = CatalogEntry> {
        self.0.iter().flat_map(|family| family.entries())
    }

    /// Returns the architecture of a network.
    ///
    /// # Errors
    ///
    /// Returns an error that suggests the nearest name if there is no network of this name, and an
    /// error if it has no such options.
    pub fn get(&self, model: &ModelRecipe) -> Result<Arc<dyn Architecture>> {
        if let Some((model, view)) = viewed::split(model)? {
            let inner = self.get(&model)?;
            return Ok(Arc::new(Viewed { inner, view }));
        }
        self.found(model).unwrap_or_else(|| {
            let examples: Vec<_> = self.0.iter().flat_map(|family| family.examples()).collect();
            let known: Vec<_> = self.entries().map(|entry| entry.name).collect();
            let spelled = model.name.to_lowercase().replace('_', "-");
            let hint = nearest(&spelled, examples.iter().copied());
            Err(unknown("network", &model.name, hint, &known))
        })
    }

    fn found(&self, model: &ModelRecipe) -> Option<Result<Arc<dyn Architecture>>> {
        self.0.iter().find_map(|family| family.find(model))
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
        let architecture = self.get(model)?;
        let network = seeded(seed, || architecture.init(task, &Device::flex()))?;
        Ok(network.to_device(device))
    }
}

/// Returns the error about a name that is not in the registry.
pub(super) fn unknown(
    what: &str,
    name: &str,
    nearest: Option<&str>,
    known: &[&str],
) -> anyhow::Error {
    let hint = nearest.map(|nearest| format!(", did you mean `{nearest}`?"));
    anyhow!(
        "no {what} named `{name}`{}; the known ones are {}",
        hint.unwrap_or_default(),
        known.join(", ")
    )
}
