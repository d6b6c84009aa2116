//! The losses of the toolkit.

use super::description::Description;
use super::{Loss, LossEntry, Losses, feature, relation, response};
use anyhow::Result;
use burn_distill::core::{CatalogueEntry, Hard};

impl Losses {
    /// Returns those of the toolkit.
    pub fn standard() -> Self {
        Self::new(catalogue().map(|entry| LossEntry::of(entry, |loss| of_kind(entry, loss))))
    }
}

#[cfg(test)]
impl Loss {
    /// Builds a loss of the toolkit.
    pub fn new(table: &toml::Table, scene: &super::Scene) -> Result<Self> {
        Losses::standard().build(table, scene)
    }
}

/// Returns the losses of the toolkit.
pub fn catalogue() -> impl Iterator<Item = &'static CatalogueEntry> {
    [&Hard::CATALOGUE]
        .into_iter()
        .chain(burn_distill::response::catalogue())
        .chain(burn_distill::feature::catalogue())
        .chain(burn_distill::relation::catalogue())
}

/// Builds a loss of the catalogue.
fn of_kind(entry: &CatalogueEntry, loss: Description<'_>) -> Result<Loss> {
    match (entry.name, entry.kind) {
        (Hard::TERM, _) => loss.hard(),
        (name, "feature") => feature::build(name, loss),
        (name, "relation") => relation::build(name, loss),
        (name, _) => response::build(name, loss),
    }
}
