use super::own::OwnData;
use crate::dataset::{AnyDataset, any_published};
use anyhow::Result;
use burn_distill::data::{ByteFolderConfig, ClassList, TrainTestData};

impl OwnData for ByteFolderConfig {
    const KEY: &'static str = "bytes";

    const ABOUT: &'static str = "a folder of files, the bytes of which are read";

    const PATHS: &'static [&'static str] = &["bytes", "test_bytes"];

    fn name(&self) -> String {
        self.name()
    }

    fn has_labels(&self) -> bool {
        self.labels
    }

    fn classes(&self) -> Option<&ClassList> {
        self.classes.as_ref()
    }

    fn load(&self) -> Result<TrainTestData<AnyDataset>> {
        Ok(any_published(self.load()?))
    }
}

#[cfg(test)]
mod tests;
