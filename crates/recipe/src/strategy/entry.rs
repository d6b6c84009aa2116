use super::{
    AssistantPlan, Prepared, PreparedStrategy, StrategyContext, TeacherSetting, WithoutData,
};
use crate::input::AnyInput;
use crate::model::ModelRecipe;
use crate::naming::quoted;
use crate::parts::{StudentRecipe, TrainingRecipe};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check};
use burn_distill::strategy::{DynDistiller, OptimizerConfig};
use serde::de::{DeserializeOwned, Error};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::any::Any;
use std::fmt::Debug;
use toml::{Table, Value};

/// Options of a strategy in a recipe, from which its training is prepared.
///
/// The options are the fields of the type, which `serde` reads, and [`Check`] checks their ranges.
pub trait Strategy: StrategyOptions + Check {
    /// Returns the source of the targets of the student as a clause, such as `the peers teach each
    /// other`.
    fn description(&self) -> &'static str;

    /// Prepares a training by the strategy.
    ///
    /// # Errors
    ///
    /// Returns an error if the options do not fit the recipe.
    fn prepare(&self, context: &StrategyContext) -> Result<Prepared>;

    /// Checks losses that [`prepare`](Self::prepare) does not build, since their teacher is trained
    /// first.
    ///
    /// # Errors
    ///
    /// Returns an error if a loss cannot be built between untrained networks.
    fn check_losses(&self, _context: &StrategyContext) -> Result<()> {
        Ok(())
    }

    /// Returns the terms of the authors for a recipe without losses, and takes their options, so
    /// that these are not given twice. Returns no terms if a recipe cannot name them as losses.
    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        Vec::new()
    }

    /// Returns the name of an option of the terms of the authors, if one is given.
    fn option_of_terms(&self) -> Option<&'static str> {
        None
    }

    /// Returns a warning about options that the training of the student makes useless, such as a
    /// schedule that is longer than the training.
    fn warning(&self, _student: &StudentRecipe, _losses: &[Table]) -> Option<String> {
        None
    }

    /// Returns whether the training takes several views of each sample, regardless of the losses.
    fn uses_several_views(&self) -> bool {
        false
    }

    /// Returns the number of networks of the size of the student that are trained or kept.
    fn networks(&self) -> usize {
        1
    }

    /// Returns the models in the options, each with its key, so that their names are looked up in
    /// the registry.
    fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        Vec::new()
    }

    /// Returns the number of labeled samples in every batch of the student, where `labels` of its
    /// `samples` are labeled. With 0, batches are drawn from all samples alike.
    fn labeled_per_batch(&self, _batch_size: usize, _labels: usize, _samples: usize) -> usize {
        0
    }

    /// Returns whether the student can be trained with quantized weights: false if the strategy does
    /// not train the network of the [context](StrategyContext::student_network) from its start to its
    /// end.
    fn takes_quantized(&self) -> bool {
        true
    }

    /// Returns whether the student learns the `[tasks]` of the recipe one after another.
    fn learns_tasks(&self) -> bool {
        false
    }

    /// Returns whether the recipe has a `[teacher]`, which is trained before the student. Default:
    /// whether the strategy trains the student with one in any of the ways below.
    fn has_teacher(&self) -> bool {
        self.without_data().is_some() || self.has_distiller() || self.assistants().is_some()
    }

    /// Returns the options as those of a strategy with a `[teacher]` whose student sees no sample.
    /// Then [`WithoutData::prepare`] prepares the training. Default: none, for a student that is
    /// trained on the data.
    fn without_data(&self) -> Option<&dyn WithoutData> {
        None
    }

    /// Returns whether the student is trained by a [`distiller`](Self::distiller) of the strategy,
    /// with one `[teacher]`.
    fn has_distiller(&self) -> bool {
        false
    }

    /// Creates the distiller of the student and its trained teacher, if the strategy has one.
    /// Random numbers are drawn from a seeded generator. The metrics are those besides the ones of
    /// the terms.
    fn distiller(
        &self,
        _setting: TeacherSetting<'_>,
    ) -> Option<PreparedStrategy<DynDistiller<AnyInput>>> {
        None
    }

    /// Returns the optimizer of a [`distiller`](Self::distiller), given that of the student.
    fn optimizer(&self, student: &OptimizerConfig) -> OptimizerConfig {
        student.clone()
    }

    /// Checks the training of the student and the number of terms that are computed from the
    /// targets and of all others, for a [`distiller`](Self::distiller).
    ///
    /// # Errors
    ///
    /// Returns an error if the distiller cannot use them.
    fn check_distiller(&self, _training: &TrainingRecipe, _terms: [usize; 2]) -> Result<()> {
        Ok(())
    }

    /// Returns the networks between the teacher and the student, if the strategy has a teacher and
    /// such networks.
    fn assistants(&self) -> Option<AssistantPlan<'_>> {
        None
    }
}

/// Object-safe part of [`Strategy`], implemented for every type that can be cloned and serialized.
pub trait StrategyOptions: Any + Debug + Send + Sync {
    /// Returns a copy of the options.
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

/// Entry of a strategy: its names, its reference, and the function that reads its options.
///
/// ```
/// use anyhow::Result;
/// use burn_distill::core::{CatalogEntry, Check};
/// use burn_distill_recipe::{Prepared, Registry, Strategy, StrategyContext, StrategyEntry};
/// use serde::{Deserialize, Serialize};
///
/// /// The trained student teaches another one.
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Twin {}
///
/// impl Check for Twin {}
///
/// impl Strategy for Twin {
///     fn description(&self) -> &'static str {
///         "the trained student teaches another one"
///     }
///
///     fn prepare(&self, _: &StrategyContext) -> Result<Prepared> {
///         Ok(Prepared::TrainedTeacher)
///     }
/// }
///
/// let entry = StrategyEntry::new::<Twin>(CatalogEntry::custom("twin"));
/// let registry = Registry::standard().with_strategy(entry);
///
/// let mut names = registry.strategies().iter().map(|entry| entry.catalog.name);
/// assert!(names.any(|name| name == "twin"));
/// ```
#[derive(Clone, Debug)]
pub struct StrategyEntry {
    /// Name, aliases and reference.
    pub catalog: CatalogEntry,
    /// Function that reads the options from the table of the strategy, without its `kind`.
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

/// The `[strategy]` of a recipe: the name of a strategy, and its options.
#[derive(Debug)]
pub struct StrategyRecipe {
    catalog: CatalogEntry,
    options: Box<dyn Strategy>,
}

impl StrategyRecipe {
    /// Creates the strategy of an entry from its options.
    pub(super) fn new(catalog: CatalogEntry, options: Box<dyn Strategy>) -> Self {
        Self { catalog, options }
    }

    /// Returns the name of the strategy in the list of strategies.
    pub fn name(&self) -> &'static str {
        self.catalog.name
    }

    /// Returns the name for an error, with the usual abbreviation: "`mutual` (DML)".
    pub fn quoted(&self) -> String {
        quoted(&self.catalog)
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

    /// Returns whether this is the strategy of a recipe without a `[strategy]`.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the student is distilled from a `[teacher]` on the data.
    pub fn is_offline(&self) -> bool {
        self.options.has_teacher() && self.options.without_data().is_none()
    }

    /// Returns whether the student is distilled from a `[teacher]`, on the data or without it.
    pub fn has_teacher(&self) -> bool {
        self.options.has_teacher()
    }

    /// Reads the strategy from its table, whose `kind` is the name of one of the entries.
    ///
    /// # Errors
    ///
    /// Returns an error with the message of `serde` if there is no entry of that kind, or if the
    /// options are not those of the strategy.
    pub fn read<E: Error>(mut table: Table, entries: &[StrategyEntry]) -> Result<Self, E> {
        let Some(kind) = table.remove("kind") else {
            return Err(E::missing_field("kind"));
        };
        let Value::String(kind) = kind else {
            // With the message for any other value of the wrong type.
            let error = kind.try_into::<String>().err();
            let message = error.map(|error| error.message().to_string());
            return Err(E::custom(message.unwrap_or_default()));
        };
        let mut all = entries.iter();
        let Some(entry) = all.find(|entry| entry.catalog.has_name(&kind)) else {
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
        Ok(Self::new(entry.catalog.clone(), options))
    }
}

impl Clone for StrategyRecipe {
    fn clone(&self) -> Self {
        Self::new(self.catalog.clone(), self.options.clone_options())
    }
}

/// Two strategies are equal if their names and tables are equal.
impl PartialEq for StrategyRecipe {
    fn eq(&self, other: &Self) -> bool {
        let tables = [self, other].map(|strategy| strategy.options.table().ok());
        self.name() == other.name() && tables[0] == tables[1]
    }
}

impl Serialize for StrategyRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = self.options.table().map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(table.len() + 1))?;
        map.serialize_entry("kind", self.name())?;
        for (key, value) in &table {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::entries;
    use super::*;
    use burn_distill::core::{ConfigError, check};
    use serde::Deserialize;
    use serde::de::value::Error;

    /// A strategy of a program, with an option.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Own {
        share: f64,
    }

    const OWN: StrategyEntry = StrategyEntry::new::<Own>(CatalogEntry {
        name: "own",
        abbreviation: "",
        about: "a strategy of the program",
        kind: "of this program",
        aliases: &["mine"],
        reference: "",
    });

    impl Check for Own {
        fn check(&self) -> Result<(), ConfigError> {
            check::in_range("share", self.share, 0.0..=1.0)
        }
    }

    impl Strategy for Own {
        fn description(&self) -> &'static str {
            "the trained student teaches another one"
        }

        fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
            Ok(Prepared::TrainedTeacher)
        }
    }

    fn read(text: &str) -> Result<StrategyRecipe, Error> {
        let all: Vec<_> = entries().into_iter().chain([OWN]).collect();
        StrategyRecipe::read(text.parse().unwrap(), &all)
    }

    #[test]
    fn a_strategy_of_a_program_is_read_and_written_by_its_entry() {
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
    fn unknown_kinds_and_options_are_refused_in_the_words_of_serde() {
        for (text, message) in [
            ("share = 1", "missing field `kind`"),
            ("kind = 1", "invalid type: integer `1`, expected a string"),
            (
                "kind = 'owm'",
                "unknown variant `owm`, expected one of `offline`, `assistants`, ",
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
