use super::own::OwnData;
use crate::dataset::{AnyDataset, any_published};
use anyhow::Result;
use burn_distill::data::{CsvConfig, TrainTestData};

impl OwnData for CsvConfig {
    const KEY: &'static str = "csv";

    const ABOUT: &'static str = "a table in a CSV file";

    const PATHS: &'static [&'static str] = &["csv", "test_csv"];

    fn name(&self) -> String {
        self.name()
    }

    fn load(&self) -> Result<TrainTestData<AnyDataset>> {
        Ok(any_published(self.load()?))
    }
}

#[cfg(test)]
mod tests;
