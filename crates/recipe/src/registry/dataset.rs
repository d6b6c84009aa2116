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
    /// Names of the classes.
    pub classes: Vec<String>,
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

    /// Creates a data set that a program adds.
    pub(super) fn own<D, F>(name: &'static str, load: F) -> Self
    where
        D: Into<TrainTestData<AnyDataset>>,
        F: Fn(&DataSource) -> Result<D> + Send + Sync + 'static,
    {
        Self {
            entry: CatalogEntry::custom(name),
            source: own_dataset(load),
        }
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
            classes: info.classes.iter().map(ToString::to_string).collect(),
            samples: info.images[0],
        })
    }

    fn load(&self, source: &DataSource) -> Result<TrainTestData<AnyDataset>> {
        Ok(any_published(DatasetName::load(*self, source)?))
    }
}

/// Checks that a data set has at least two classes, and that its validation and test sets have the
/// classes and the shape of its training set.
fn check_published(published: &TrainTestData<AnyDataset>) -> Result<()> {
    let train = &published.train;
    let classes = train.num_classes();
    ensure!(
        classes >= 2,
        "a data set has at least two classes, but this one has {classes}"
    );
    for (name, part) in [
        ("validation", &published.validation),
        ("test", &published.test),
    ] {
        let Some(part) = part else {
            continue;
        };
        let of_part = (part.shape(), part.num_classes());
        ensure!(
            of_part == (train.shape(), classes),
            "the {name} set holds {} of {} classes, but the training set {} of {classes}: both should have the same shape and number of classes",
            of_part.0,
            of_part.1,
            train.shape()
        );
    }
    Ok(())
}

/// Creates a data set that is loaded once, from a function that loads it.
pub fn own_dataset<D, F>(load: F) -> Arc<dyn DatasetSource>
where
    D: Into<TrainTestData<AnyDataset>>,
    F: Fn(&DataSource) -> Result<D> + Send + Sync + 'static,
{
    let load = move |source: &DataSource| load(source).map(Into::into);
    Arc::new(OwnDataset {
        load,
        loaded: OnceLock::new(),
    })
}

/// Data set that is loaded once.
struct OwnDataset<F> {
    load: F,
    loaded: OnceLock<TrainTestData<AnyDataset>>,
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
            classes: published.train.classes().to_vec(),
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
