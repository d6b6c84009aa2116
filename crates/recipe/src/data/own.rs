//! Own data: files of the user, instead of a named data set.

use crate::dataset::AnyDataset;
use anyhow::Result;
use burn_distill::core::Check;
use burn_distill::data::{ClassList, TrainTestData};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Kind of own data, with its options in `[data]`.
///
/// The fields are keys of the table, besides those of every [`DataRecipe`](crate::DataRecipe).
/// [`KEY`](Self::KEY) is the field with the path of the files; it distinguishes the kind from all
/// others. [`Check`] checks the values before any file is read.
pub trait OwnData: Check + Clone + DeserializeOwned + Serialize + Send + Sync + 'static {
    /// Key of the path of the data.
    const KEY: &'static str;

    /// Description of the value of the key, for an error, as in `a folder of images`.
    const ABOUT: &'static str;

    /// Keys whose values are paths, which are relative to the folder of the recipe.
    const PATHS: &'static [&'static str];

    /// Returns the name of the data in reports.
    fn name(&self) -> String;

    /// Returns whether the training samples are labeled.
    fn has_labels(&self) -> bool {
        true
    }

    /// Returns the classes of samples without labels, if they are given.
    fn classes(&self) -> Option<&ClassList> {
        None
    }

    /// Loads the data: the training samples, and those for validation and testing if they are in
    /// separate files.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file.
    fn load(&self) -> Result<TrainTestData<AnyDataset>>;
}
