//! Sources of the samples of a recipe.

use super::arrays::ArraysConfig;
use super::keys::keys_of;
use super::own::OwnData;
use crate::fault::Fault;
use crate::registry::{DatasetSource, own_dataset};
use crate::typed::typed_by;
use burn_distill::core::ConfigError;
use burn_distill::data::{ByteFolderConfig, ClassList, CsvConfig, ImageFolderConfig};
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use toml::{Table, Value};

const NAME: &str = SourceRecipe::NAME;

/// The kinds of own data, each with its key.
const KINDS: [Kind; 4] = [
    Kind::of::<ImageFolderConfig>(),
    Kind::of::<CsvConfig>(),
    Kind::of::<ArraysConfig>(),
    Kind::of::<ByteFolderConfig>(),
];

/// Source of the samples of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SourceRecipe {
    /// A data set of the registry.
    Named {
        /// Name of the data set.
        name: String,
    },
    /// Own data.
    Own(OwnSource),
}

/// Own data of a recipe.
///
/// The data is loaded once for all clones.
#[derive(Clone)]
pub struct OwnSource {
    key: &'static str,
    name: String,
    /// Options as in a recipe, with their defaults.
    options: Table,
    checked: Result<(), ConfigError>,
    has_labels: bool,
    classes: Option<ClassList>,
    dataset: Arc<dyn DatasetSource>,
}

impl OwnSource {
    /// Creates the source from the options of its kind.
    ///
    /// # Panics
    ///
    /// Panics if the options cannot be written as TOML.
    pub fn new<D: OwnData>(options: D) -> Self {
        Self {
            key: D::KEY,
            name: options.name(),
            options: Table::try_from(&options).expect("The options of data are a table of TOML."),
            checked: options.check(),
            has_labels: options.has_labels(),
            classes: options.classes().cloned(),
            dataset: own_dataset(move |_| options.load()),
        }
    }

    /// Returns the data set, which is loaded at most once.
    pub fn dataset(&self) -> &dyn DatasetSource {
        &*self.dataset
    }
}

impl PartialEq for OwnSource {
    fn eq(&self, other: &Self) -> bool {
        (self.key, &self.options) == (other.key, &other.options)
    }
}

impl fmt::Debug for OwnSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnSource").field(&self.options).finish()
    }
}

impl Serialize for OwnSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.options.serialize(serializer)
    }
}

impl SourceRecipe {
    /// Key of a data set of the registry in `[data]`.
    pub const NAME: &str = "name";

    /// Returns the name of the data in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Named { name } | Self::Own(OwnSource { name, .. }) => name,
        }
    }

    /// Returns the key that gives the source in `[data]`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Named { .. } => NAME,
            Self::Own(source) => source.key,
        }
    }

    /// Returns whether the training samples are labeled.
    pub fn has_labels(&self) -> bool {
        match self {
            Self::Named { .. } => true,
            Self::Own(source) => source.has_labels,
        }
    }

    /// Returns the classes of samples without labels, if they are given.
    pub fn classes(&self) -> Option<&ClassList> {
        match self {
            Self::Named { .. } => None,
            Self::Own(source) => source.classes.as_ref(),
        }
    }

    /// Returns own data with these values of options in place of those it has; other sources are
    /// unchanged.
    ///
    /// # Errors
    ///
    /// Returns the fault of a value, with its key in `[data]`.
    pub(crate) fn with_options(self, values: Table) -> Result<Self, Fault> {
        let Self::Own(OwnSource {
            key, mut options, ..
        }) = self
        else {
            return Ok(self);
        };
        options.extend(values);
        let kind = kinds().find(|kind| kind.key == key);
        (kind.expect("Own data is of a known kind.").read)(&options)
    }

    /// Returns whether own data has an option of that name, of which no value is given.
    pub(crate) fn takes_but_lacks(&self, option: &str) -> bool {
        let Self::Own(source) = self else {
            return false;
        };
        let kind = kinds().find(|kind| kind.key == source.key);
        let known = kind.is_some_and(|kind| (kind.keys)().contains(&option));
        known && !source.options.contains_key(option)
    }

    /// Checks the options, before anything is loaded.
    ///
    /// # Errors
    ///
    /// Returns an error about the first value out of its range, with its key in `[data]`.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Named { .. } => Ok(()),
            Self::Own(source) => source.checked.clone(),
        }
    }

    /// Takes the source out of a table, in which the keys in `common` stay.
    ///
    /// # Errors
    ///
    /// Returns the fault of the table, with its key in the table.
    pub(super) fn take(table: &mut Table, common: &[&str]) -> Result<Self, Fault> {
        let mut given = kinds().filter(|kind| table.contains_key(kind.key));
        let Some(kind) = given.next() else {
            return Err(none_given(table, common));
        };
        if let Some(other) = given.next() {
            return Err(Fault::other(
                other.key,
                format_args!(
                    "the data is given by `{}` already: keep one of them, and leave out the other \
                     with its options",
                    kind.key
                ),
            ));
        }
        let known = (kind.keys)();
        let mut options = Table::new();
        for (key, value) in std::mem::take(table) {
            if common.contains(&key.as_str()) {
                table.insert(key, value);
            } else if known.contains(&key.as_str()) {
                options.insert(key, value);
            } else {
                return Err(unknown(&key, common, &kind));
            }
        }
        (kind.read)(&options)
    }
}

/// A kind of source, with the functions that read it from a table of a recipe.
struct Kind {
    key: &'static str,
    about: &'static str,
    paths: &'static [&'static str],
    keys: fn() -> &'static [&'static str],
    read: fn(&Table) -> Result<SourceRecipe, Fault>,
}

impl Kind {
    const NAMED: Self = Self {
        key: NAME,
        about: "a data set by its name",
        paths: &[],
        keys: || &[NAME],
        read: |table| match table.get(NAME) {
            Some(Value::String(name)) => Ok(SourceRecipe::Named { name: name.clone() }),
            Some(other) => Err(Fault::value(NAME, "text", other)),
            None => Err(Fault::missing(NAME, None)),
        },
    };

    const fn of<D: OwnData>() -> Self {
        Self {
            key: D::KEY,
            about: D::ABOUT,
            paths: D::PATHS,
            keys: || keys_of(|keys| D::deserialize(keys)),
            read: |table| {
                let options = typed_by(table, |table| {
                    let options = table.clone().try_into::<D>();
                    options.map_err(|error| error.message().to_string())
                })?;
                Ok(SourceRecipe::Own(OwnSource::new(options)))
            },
        }
    }
}

fn kinds() -> impl Iterator<Item = Kind> {
    [Kind::NAMED].into_iter().chain(KINDS)
}

/// Returns the keys of `[data]` in a recipe whose values are paths.
pub fn path_keys(data: &Table) -> Vec<&'static str> {
    let given = kinds().filter(|kind| data.contains_key(kind.key));
    given.flat_map(|kind| kind.paths).copied().collect()
}

/// Returns the fault of a table without a source.
fn none_given(table: &Table, common: &[&str]) -> Fault {
    let known =
        |key: &str| common.contains(&key) || kinds().any(|kind| (kind.keys)().contains(&key));
    if let Some(key) = table.keys().find(|key| !known(key)) {
        let sources = kinds().map(|kind| kind.key);
        return Fault::unknown(key, sources.chain(common.iter().copied()));
    }
    let sources = kinds().map(|kind| format!("`{}` ({})", kind.key, kind.about));
    let sources = sources.collect::<Vec<_>>().join(", ");
    Fault::other("", format_args!("no data is given: set one of {sources}"))
}

/// Returns the fault of a key that this kind of data does not have.
fn unknown(key: &str, common: &[&str], kind: &Kind) -> Fault {
    match kinds().find(|other| (other.keys)().contains(&key)) {
        Some(owner) => Fault::other(
            key,
            format_args!(
                "this is an option of `{}`, but the data is given by `{}`: leave it out",
                owner.key, kind.key
            ),
        ),
        None => Fault::unknown(key, (kind.keys)().iter().chain(common).copied()),
    }
}
