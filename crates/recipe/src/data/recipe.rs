use super::keys::keys_of;
use super::source::SourceRecipe;
use crate::fault::Fault;
use crate::typed::typed_by;
use burn_distill::data::Augmentation;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Table;

/// Data of an experiment: the source of the samples, and their use.
///
/// The options of the source are in the same table of a recipe:
///
/// ```
/// use burn_distill_recipe::DataRecipe;
///
/// let recipe: toml::Table = "name = 'digits'\ntest = 0.5".parse()?;
/// let data: DataRecipe = recipe.try_into()?;
///
/// assert_eq!((data.source.name(), data.test), ("digits", 0.5));
/// # Ok::<(), toml::de::Error>(())
/// ```
// `remote` derives functions that read and write the common keys. The source is read and written
// separately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct DataRecipe {
    /// Source of the samples: a data set by name, or own data.
    #[serde(skip, default = "unnamed")]
    pub source: SourceRecipe,
    /// Fraction held out for testing, if the data has no published test set.
    #[serde(default = "test")]
    pub test: f64,
    /// Fraction of the remaining samples held out for validation, if the data has no published
    /// validation set. With 0, all of them are training samples.
    #[serde(default = "validation")]
    pub validation: f64,
    /// Seed of both splits, which are the same for every repetition.
    #[serde(default)]
    pub split_seed: u64,
    /// Number of training samples to use. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Number of labeled samples per class for the student, chosen by the seed. Default: all. The
    /// teacher is trained on all labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_per_class: Option<usize>,
    /// Class whose samples are left out of the training of the student. The teacher is trained on
    /// all classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_class: Option<usize>,
    /// Random augmentation of the training images.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Number of threads that prepare batches.
    #[serde(default)]
    pub workers: usize,
}

fn test() -> f64 {
    0.25
}

fn validation() -> f64 {
    0.1
}

impl DataRecipe {
    /// Reads the table `[data]` of a recipe.
    ///
    /// # Errors
    ///
    /// Returns a fault with its key in the table.
    pub(crate) fn read(mut table: Table) -> Result<Self, Fault> {
        let common = keys_of(|keys| Self::deserialize(keys));
        let source = SourceRecipe::take(&mut table, common)?;
        let common = typed_by(&table, |table| {
            let common = Self::deserialize(table.clone());
            common.map_err(|error: toml::de::Error| error.message().to_string())
        })?;
        Ok(Self { source, ..common })
    }
}

/// Returns a placeholder for the source, which `read` replaces.
fn unnamed() -> SourceRecipe {
    SourceRecipe::Named {
        name: String::new(),
    }
}

impl<'de> Deserialize<'de> for DataRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        Self::read(table).map_err(D::Error::custom)
    }
}

impl Serialize for DataRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The keys beside those of the source.
        struct Common<'a>(&'a DataRecipe);

        impl Serialize for Common<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                DataRecipe::serialize(self.0, serializer)
            }
        }

        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(flatten)]
            source: &'a SourceRecipe,
            #[serde(flatten)]
            common: Common<'a>,
        }

        let (source, common) = (&self.source, Common(self));
        Written { source, common }.serialize(serializer)
    }
}
