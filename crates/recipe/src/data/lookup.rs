use super::recipe::DataRecipe;
use super::source::SourceRecipe;
use crate::dataset::AnyDataset;
use crate::registry::{DatasetSpec, Registry};
use anyhow::{Context, Result};
use burn_distill::data::TrainTestData;

impl DataRecipe {
    /// Returns the shapes and sizes of the data.
    ///
    /// # Errors
    ///
    /// Returns an error with the key if the data set is unknown, or if the data has to be loaded
    /// and cannot be.
    pub fn spec(&self, registry: &Registry) -> Result<DatasetSpec> {
        let spec = match &self.source {
            SourceRecipe::Named { name } => registry.spec(name),
            SourceRecipe::Own(own) => own.dataset().spec(registry.data_source()),
        };
        spec.with_context(|| self.key())
    }

    /// Loads the data.
    ///
    /// # Errors
    ///
    /// Returns an error with the key if the data set is unknown or cannot be loaded.
    pub fn load(&self, registry: &Registry) -> Result<TrainTestData<AnyDataset>> {
        match &self.source {
            // The error names the data set and its files.
            SourceRecipe::Named { name } => registry.load(name),
            SourceRecipe::Own(own) => {
                let loaded = own.dataset().load(registry.data_source());
                loaded.with_context(|| self.key())
            }
        }
    }

    fn key(&self) -> String {
        format!("data.{}", self.source.key())
    }
}
