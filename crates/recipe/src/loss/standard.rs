//! The losses of the toolkit.

use super::Losses;
use burn_distill::core::Hard;

impl Losses {
    /// Returns those of the toolkit.
    pub fn standard() -> Self {
        let mut all = vec![Hard::entry()];
        all.extend(burn_distill::response::losses());
        all.extend(burn_distill::feature::losses());
        all.extend(burn_distill::relation::losses());
        Self::new(all)
    }
}

#[cfg(test)]
impl super::Loss {
    /// Builds a loss of the toolkit.
    pub fn new(table: &toml::Table, scene: &super::Scene) -> anyhow::Result<Self> {
        Losses::standard().build(table, scene)
    }
}

/// Returns the losses of the toolkit.
#[cfg(test)]
pub fn catalogue() -> impl Iterator<Item = &'static burn_distill::core::CatalogueEntry> {
    [&Hard::CATALOGUE]
        .into_iter()
        .chain(burn_distill::response::catalogue())
        .chain(burn_distill::feature::catalogue())
        .chain(burn_distill::relation::catalogue())
}
