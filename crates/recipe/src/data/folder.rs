use super::own::OwnData;
use crate::dataset::{AnyDataset, any_published};
use anyhow::Result;
use burn_distill::data::{ClassList, ImageFolderConfig, TrainTestData};

impl OwnData for ImageFolderConfig {
    const KEY: &'static str = "folder";

    const ABOUT: &'static str = "a folder of images";

    const PATHS: &'static [&'static str] = &["folder", "test_folder"];

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
