use super::{Prepared, StrategyContext};
use crate::Recipe;
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check};
use serde::de::{DeserializeOwned, Error};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::Any;
use std::fmt::Debug;
use toml::{Table, Value};

/// The options of a strategy in a recipe, and all that follows from them.
///
/// The options are the fields of the type, which are read by `serde`, and their ranges are those of
/// [`Check`].
pub trait Strategy: StrategyOptions + Check {
    /// Returns who teaches the student, as a part of a sentence.
    fn who_teaches(&self) -> &'static str;

    /// Prepares a training by the strategy.
    ///
    /// # Errors
    ///
    /// Returns an error if the options do not fit the recipe.
    fn prepare(&self, context: &StrategyContext) -> Result<Prepared>;

    /// Checks that the strategy can be prepared.
    ///
    /// # Errors
    ///
    /// Returns an error if the options do not fit the recipe.
    fn check_setting(&self, context: &StrategyContext) -> Result<()> {
        self.prepare(context).map(drop)
    }

    /// Returns the terms of the authors, for a recipe without losses, and takes the options that are of
    /// them; no terms if they are no losses of a recipe.
    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        Vec::new()
    }

    /// Returns the name of an option of the terms of the authors, if one is given.
    fn option_of_terms(&self) -> Option<&'static str> {
        None
    }

    /// Returns what a reader of the recipe should know before it is run, such as a schedule that the
    /// training does not reach the end of.
    fn warning(&self, _recipe: &Recipe) -> Option<String> {
        None
    }

    /// Returns whether more than one view of each sample is seen, whatever the losses are.
    fn sees_several_views(&self) -> bool {
        false
    }

    /// Returns the number of networks of the student's size that are trained or kept.
    fn networks(&self) -> usize {
        1
    }

    /// Returns the number of labeled samples in every batch of the student, of whose `samples` some have
    /// `labels`. With 0, batches are drawn from all samples alike.
    fn labeled_per_batch(&self, _batch_size: usize, _labels: usize, _samples: usize) -> usize {
        0
    }

    /// Returns whether the recipe gives a teacher, which is trained before.
    fn has_teacher(&self) -> bool {
        false
    }
}

/// The object-safe half of the traits of options: implemented for all that can be cloned and written.
pub trait StrategyOptions: Any + Debug + Send + Sync {
    /// `Clone`
    fn clone_options(&self) -> Box<dyn Strategy>;
    /// Returns the options as a table of a recipe.
    fn table(&self) -> Result<Table, toml::ser::Error>;
}

impl<S: Strategy + Clone + Serialize> StrategyOptions for S {
    fn clone_options(&self) -> Box<dyn Strategy> {
        Box::new(self.clone())
    }

    fn table(&self) -> Result<Table, toml::ser::Error> {
        Table::try_from(self)
    }
}

/// Entry of a strategy: its names and its reference, and the function that reads its options.
#[derive(Clone, Debug)]
pub struct StrategyEntry {
    /// The name, the aliases and the reference.
    pub catalog: CatalogEntry,
    /// Reads the options from the table of the strategy, without its `kind`.
    pub read: fn(Table) -> Result<Box<dyn Strategy>, toml::de::Error>,
}

impl StrategyEntry {
    /// Creates the entry of a strategy with options of type `S`.
    pub const fn new<S: Strategy + DeserializeOwned>(catalog: CatalogEntry) -> Self {
        Self {
            catalog,
            read: read::<S>,
        }
    }
}

fn read<S: Strategy + DeserializeOwned>(
    table: Table,
) -> Result<Box<dyn Strategy>, toml::de::Error> {
    let options: S = table.try_into()?;
    Ok(Box::new(options))
}

/// The `[strategy]` of a recipe: a strategy by its name, and its options.
#[derive(Debug)]
pub struct StrategyRecipe {
    name: &'static str,
    options: Box<dyn Strategy>,
}

impl StrategyRecipe {
    /// Returns the name of the strategy in the list of strategies.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the options.
    pub fn options(&self) -> &dyn Strategy {
        &*self.options
    }

    /// Returns the options, to be changed.
    pub fn options_mut(&mut self) -> &mut dyn Strategy {
        &mut *self.options
    }

    /// Returns the options of one strategy; nothing if they are of another one.
    #[cfg(test)]
    pub fn options_of<S: Strategy>(&self) -> Option<&S> {
        (&*self.options as &dyn Any).downcast_ref()
    }

    /// Returns whether a trained teacher teaches.
    pub fn is_offline(&self) -> bool {
        self.options.has_teacher()
    }

    /// Reads the strategy from the table of a recipe, by the names of these entries.
    ///
    /// # Errors
    ///
    /// Returns an error in the words of `serde` if there is no entry of that kind, or if the options are
    /// not those of the strategy.
    pub fn read<E: Error>(mut table: Table, entries: &[StrategyEntry]) -> Result<Self, E> {
        let Some(kind) = table.remove("kind") else {
            return Err(E::missing_field("kind"));
        };
        let Value::String(kind) = kind else {
            // In the words of every other value of the wrong type.
            let error = kind.try_into::<String>().err();
            let message = error.map(|error| error.message().to_string());
            return Err(E::custom(message.unwrap_or_default()));
        };
        let mut all = entries.iter();
        let Some(entry) = all.find(|entry| entry.catalog.is_called(&kind)) else {
            let names = entries
                .iter()
                .map(|entry| format!("`{}`", entry.catalog.name));
            let names: Vec<_> = names.collect();
            return Err(E::custom(format!(
                "unknown variant `{kind}`, expected one of {}",
                names.join(", ")
            )));
        };
        let options = (entry.read)(table).map_err(|error| E::custom(error.message()))?;
        Ok(Self {
            name: entry.catalog.name,
            options,
        })
    }
}

impl Default for StrategyRecipe {
    fn default() -> Self {
        Self {
            name: super::offline::ENTRY.catalog.name,
            options: Box::new(super::offline::OfflineRecipe {}),
        }
    }
}

impl Clone for StrategyRecipe {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            options: self.options.clone_options(),
        }
    }
}

/// As what they are written as.
impl PartialEq for StrategyRecipe {
    fn eq(&self, other: &Self) -> bool {
        let tables = [self, other].map(|strategy| strategy.options.table().ok());
        self.name == other.name && tables[0] == tables[1]
    }
}

impl Serialize for StrategyRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = self.options.table().map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(table.len() + 1))?;
        map.serialize_entry("kind", self.name)?;
        for (key, value) in &table {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for StrategyRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        Self::read(table, &super::entries())
    }
}

#[cfg(test)]
mod tests {
    use super::super::entries;
    use super::*;
    use burn_distill::core::{ConfigError, check};
    use serde::de::value::Error;

    /// A strategy with an option of its own.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Own {
        share: f64,
    }

    const OWN: StrategyEntry = StrategyEntry::new::<Own>(CatalogEntry {
        name: "own",
        abbreviation: "",
        about: "a strategy of the program",
        kind: "a strategy of one's own",
        aliases: &["mine"],
        reference: "",
    });

    impl Check for Own {
        fn check(&self) -> Result<(), ConfigError> {
            check::in_range("share", self.share, 0.0..=1.0)
        }
    }

    impl Strategy for Own {
        fn who_teaches(&self) -> &'static str {
            "the student alone teaches"
        }

        fn prepare(&self, _setting: &StrategyContext) -> Result<Prepared> {
            Ok(Prepared::ByTeacher)
        }
    }

    fn read(text: &str) -> Result<StrategyRecipe, Error> {
        let all: Vec<_> = entries().into_iter().chain([OWN]).collect();
        StrategyRecipe::read(text.parse().unwrap(), &all)
    }

    #[test]
    fn a_strategy_of_ones_own_is_read_and_written_by_its_entry() {
        let strategy = read("kind = 'mine'\nshare = 1").unwrap();

        assert_eq!(strategy.name(), "own");
        assert_eq!(strategy.options_of::<Own>().unwrap().share, 1.0);
        let written = toml::to_string(&strategy).unwrap();
        assert_eq!(written, "kind = \"own\"\nshare = 1.0\n");
        assert_eq!(read(&written).unwrap(), strategy);
        assert_ne!(read("kind = 'own'\nshare = 0.5").unwrap(), strategy);
        let out_of_range = read("kind = 'own'\nshare = 2").unwrap();
        assert_eq!(out_of_range.options().check().unwrap_err().key, "share");
    }

    #[test]
    fn what_no_entry_reads_is_refused_in_the_words_of_serde() {
        for (text, message) in [
            ("share = 1", "missing field `kind`"),
            ("kind = 1", "invalid type: integer `1`, expected a string"),
            (
                "kind = 'owm'",
                "unknown variant `owm`, expected one of `offline`, `mutual`, ",
            ),
            (
                "kind = 'own'\nshar = 1",
                "unknown field `shar`, expected `share`",
            ),
            (
                "kind = 'own'\nshare = 'all'",
                "invalid type: string \"all\", expected f64",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
