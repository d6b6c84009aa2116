use super::description::Description;
use super::{Layers, Loss, Scene};
use crate::fault::Fault;
use crate::own::own_entry;
use anyhow::{Context, Result, bail};
use burn_distill::core::{
    CatalogueEntry, Check, Hard, Objective, TapLoss, WeightSchedule, nearest,
};
use burn_distill::response::{
    BatchLogitLoss, BoundedRegressionObjective, HeatMapObjective, LabelledLoss, LogitLoss,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toml::{Table, Value};

/// The losses whose networks have another output than class logits, and which.
const OF_OTHER_RESPONSES: [(&str, &str); 2] = [
    (BoundedRegressionObjective::TERM, "boxes"),
    (HeatMapObjective::TERM, "maps of joints"),
];

/// Configuration of a loss, whose fields a recipe may name.
pub trait Configuration:
    Check + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<C> Configuration for C where
    C: Check + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// Configuration of a loss without options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoOptions {}

impl Check for NoOptions {}

/// Function that builds a loss from what a recipe says about it.
type Build = dyn Fn(Description<'_>) -> Result<Loss> + Send + Sync;

/// A loss that recipes can name.
#[derive(Clone)]
pub struct LossEntry {
    /// Names of the loss, and its line in a list.
    pub entry: CatalogueEntry,
    build: Arc<Build>,
}

impl LossEntry {
    /// Creates a loss on the logits of each sample. `default` is its configuration: what a recipe says
    /// replaces the values of its fields.
    ///
    /// As any loss of this kind it has a `weight`, 1 by default, and may be `standardize`d.
    ///
    /// ```
    /// use burn_distill::response::SoftTargetLossConfig;
    /// use burn_distill_recipe::{LossEntry, Registry};
    ///
    /// let default = SoftTargetLossConfig::new().with_temperature(20.0);
    /// let hot = LossEntry::logits("hot", default, |config| config.init());
    ///
    /// let registry = Registry::standard().with_loss(hot);
    /// assert!(registry.losses().get("hot").is_some());
    /// ```
    pub fn logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: LogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::new(name, move |loss| loss.logits(default.clone(), &init))
    }

    /// Creates a loss on the logits of a batch as a whole, such as one of correlations between samples.
    pub fn batch_logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: BatchLogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::new(name, move |loss| loss.batch(default.clone(), &init))
    }

    /// Creates a loss on the logits of each sample and its label.
    pub fn labelled<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: LabelledLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::new(name, move |loss| loss.labelled(default.clone(), &init))
    }

    /// Creates a loss between pairs of taps, by default these layers of both networks, with this weight
    /// by default.
    pub fn taps<C, L, F>(
        name: &'static str,
        layers: Layers,
        weight: f64,
        default: C,
        init: F,
    ) -> Self
    where
        C: Configuration,
        L: TapLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::new(name, move |loss| {
            loss.pairs_of(layers, weight, default.clone(), &init)
        })
    }

    /// Creates a loss of any other kind, with this weight by default. `init` gets the configuration, the
    /// name of the term and its weight.
    pub fn objective<C, O, F>(name: &'static str, weight: f64, default: C, init: F) -> Self
    where
        C: Configuration,
        O: Objective,
        F: Fn(&C, String, WeightSchedule) -> O + Send + Sync + 'static,
    {
        Self::new(name, move |loss| {
            let config = loss.configure(default.clone())?;
            loss.named(name, weight, |name, weight| init(&config, name, weight))
        })
    }

    fn new<F>(name: &'static str, build: F) -> Self
    where
        F: Fn(Description<'_>) -> Result<Loss> + Send + Sync + 'static,
    {
        let entry = own_entry(name);
        let build = Arc::new(build);
        Self { entry, build }
    }

    /// Creates the entry of a loss of the toolkit.
    pub(super) fn of<F>(entry: &CatalogueEntry, build: F) -> Self
    where
        F: Fn(Description<'_>) -> Result<Loss> + Send + Sync + 'static,
    {
        let entry = entry.clone();
        let build = Arc::new(build);
        Self { entry, build }
    }

    /// Sets other names that are understood.
    pub fn with_aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.entry.aliases = aliases;
        self
    }

    /// Sets where the loss comes from: authors, title, venue, year.
    pub fn with_reference(mut self, reference: &'static str) -> Self {
        self.entry.reference = reference;
        self
    }
}

/// The losses that recipes can name.
#[derive(Clone)]
pub struct Losses(Vec<LossEntry>);

impl Losses {
    /// Creates the losses of these entries, whose names differ.
    pub(super) fn new(entries: impl Iterator<Item = LossEntry>) -> Self {
        Self(entries.collect())
    }

    /// Adds a loss.
    ///
    /// # Panics
    ///
    /// Panics if there is a loss of its name or of one of its aliases.
    pub fn add(&mut self, loss: LossEntry) {
        for name in [&[loss.entry.name], loss.entry.aliases].concat() {
            assert!(
                self.get(name).is_none(),
                "There are two losses named `{name}`: give one of them another name."
            );
        }
        self.0.push(loss);
    }

    /// Returns the loss of a name or an alias.
    pub fn get(&self, name: &str) -> Option<&LossEntry> {
        self.0.iter().find(|loss| loss.entry.is_called(name))
    }

    /// Returns the lines of a list.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogueEntry> {
        self.0.iter().map(|loss| &loss.entry)
    }

    /// Builds the term that a `[[loss]]` table describes: its kind, its name and weight, and the fields
    /// of the configuration of that kind. What it has to learn is sized for the two networks.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such loss, if it has no such fields or values, or if it is not
    /// for these networks.
    pub fn build(&self, table: &Table, scene: &Scene) -> Result<Loss> {
        let (loss, kind, table) = self.take_kind(table)?;
        Description::new(table, scene)
            .and_then(|description| (loss.build)(description))
            .with_context(|| format!("in the loss `{kind}`"))
    }

    /// Checks that the loss of a table compares what images of classes have.
    ///
    /// # Errors
    ///
    /// Returns an error if the loss is for another output.
    pub fn check_response(&self, table: &Table) -> Result<()> {
        // What is wrong with a kind is said where the loss is built, with its place.
        let Ok((loss, kind, _)) = self.take_kind(table) else {
            return Ok(());
        };
        match OF_OTHER_RESPONSES
            .iter()
            .find(|(name, _)| *name == loss.entry.name)
        {
            Some((_, what)) => bail!(
                "the loss `{kind}` compares {what}, and the data sets of recipes are images of \
                 classes: it is for a network of your own, as a part of the library"
            ),
            None => Ok(()),
        }
    }

    /// Returns whether the loss of a table compares with targets alone, without a teacher.
    pub fn is_of_targets(&self, table: &Table) -> bool {
        let loss = self.take_kind(table);
        loss.is_ok_and(|(loss, _, _)| loss.entry.kind == Hard::CATALOGUE.kind)
    }

    /// Returns the loss that a table names, its name there, and the rest of the table.
    pub(super) fn take_kind(&self, table: &Table) -> Result<(&LossEntry, String, Table)> {
        let mut table = table.clone();
        let one_of = || {
            let kinds: Vec<_> = self.entries().map(|loss| loss.name).collect();
            format!("one of {}", kinds.join(", "))
        };
        let kind = match table.remove("kind") {
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(Fault::value("kind", one_of(), &other).into()),
            None => return Err(Fault::missing("kind", Some(one_of())).into()),
        };
        match self.get(&kind) {
            Some(loss) => Ok((loss, kind, table)),
            None => {
                let names = self.entries();
                let names = names.flat_map(|loss| [&[loss.name], loss.aliases].concat());
                let hint = nearest(&kind, names).map(|name| format!(", did you mean `{name}`?"));
                let text = format!(
                    "there is no loss `{kind}`{}; known are {}",
                    hint.unwrap_or_default(),
                    one_of().trim_start_matches("one of ")
                );
                Err(Fault::other("kind", text).into())
            }
        }
    }
}
