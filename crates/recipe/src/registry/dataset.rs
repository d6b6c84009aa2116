use super::network::Task;
use crate::dataset::{AnyDataset, any_published};
use crate::input::InputShape;
use anyhow::{Result, ensure};
use burn_distill::core::CatalogEntry;
use burn_distill::data::{DataSource, DatasetName, Samples, TrainTestData};
use std::sync::{Arc, OnceLock};

/// Shapes and sizes of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSpec {
    /// Inputs and classes.
    pub task: Task,
    /// Number of samples that are published for training.
    pub samples: usize,
}

/// A data set that can be loaded.
pub trait DatasetSource: Send + Sync {
    /// Returns the shapes and sizes of the data set.
    ///
    /// # Errors
    ///
    /// Returns an error if it has to be loaded and cannot be.
    fn spec(&self, source: &DataSource) -> Result<DatasetSpec>;

    /// Loads the data set.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be loaded.
    fn load(&self, source: &DataSource) -> Result<TrainTestData<AnyDataset>>;
}

/// A data set with its names.
#[derive(Clone)]
pub(super) struct NamedDataset {
    pub(super) entry: CatalogEntry,
    pub(super) source: Arc<dyn DatasetSource>,
}

impl NamedDataset {
    pub(super) fn standard(name: DatasetName) -> Self {
        let info = name.info();
        let entry = CatalogEntry {
            name: info.name,
            abbreviation: "",
            about: "",
            kind: info.kind,
            aliases: info.aliases,
            reference: info.reference,
        };
        let source = Arc::new(name);
        Self { entry, source }
    }
}

impl DatasetSource for DatasetName {
    fn spec(&self, _: &DataSource) -> Result<DatasetSpec> {
        let info = self.info();
        Ok(DatasetSpec {
            task: Task {
                input: InputShape::Image(info.shape),
                classes: info.classes.len(),
            },
            samples: info.images[0],
        })
    }

    fn load(&self, source: &DataSource) -> Result<TrainTestData<AnyDataset>> {
        Ok(any_published(DatasetName::load(*self, source)?))
    }
}

/// Checks that a data set has at least two classes, and that its test set has the classes and the
/// shape of its training set.
fn check_published(published: &TrainTestData<AnyDataset>) -> Result<()> {
    let train = &published.train;
    let classes = train.num_classes();
    ensure!(
        classes >= 2,
        "a data set has at least two classes, but this one has {classes}"
    );
    if let Some(test) = &published.test {
        let of_test = (test.shape(), test.num_classes());
        ensure!(
            of_test == (train.shape(), classes),
            "the test set holds {} of {} classes, but the training set {} of {classes}: both should have the same shape and number of classes",
            of_test.0,
            of_test.1,
            train.shape()
        );
    }
    Ok(())
}

/// Data set that a program adds.
pub(super) struct OwnDataset<F> {
    load: F,
    loaded: OnceLock<TrainTestData<AnyDataset>>,
}

impl<F> OwnDataset<F> {
    pub(super) fn named<D>(name: &'static str, load: F) -> NamedDataset
    where
        D: Into<TrainTestData<AnyDataset>>,
        F: Fn(&DataSource) -> Result<D> + Send + Sync + 'static,
    {
        let load = move |source: &DataSource| load(source).map(Into::into);
        NamedDataset {
            entry: CatalogEntry::custom(name),
            source: Arc::new(OwnDataset {
                load,
                loaded: OnceLock::new(),
            }),
        }
    }
}

impl<F> DatasetSource for OwnDataset<F>
where
    F: Fn(&DataSource) -> Result<TrainTestData<AnyDataset>> + Send + Sync,
{
    fn spec(&self, source: &DataSource) -> Result<DatasetSpec> {
        let published = self.load(source)?;
        Ok(DatasetSpec {
            task: Task {
                input: published.train.shape(),
                classes: published.train.num_classes(),
            },
            samples: published.train.len(),
        })
    }

    fn load(&self, source: &DataSource) -> Result<TrainTestData<AnyDataset>> {
        if let Some(published) = self.loaded.get() {
            return Ok(published.clone());
        }
        let published = (self.load)(source)?;
        check_published(&published)?;
        Ok(self.loaded.get_or_init(|| published).clone())
    }
}
