mod built;
mod entries;
mod joint;
mod options;
mod pairing;
mod scene;
mod student;
mod table;
#[cfg(test)]
mod tests;

#[cfg(test)]
use burn_distill::core::{CatalogueEntry, Hard};

pub use built::{JointLoss, Loss, LossClip};
pub use burn_distill::core::{Configuration, DefaultTaps, NoOptions, Preparation};
pub use burn_distill::response::ResponseEntry;
pub use entries::{LossEntry, Losses};
pub use scene::Scene;
pub use student::student_of;

/// Returns the losses of the toolkit.
#[cfg(test)]
pub fn catalogue() -> impl Iterator<Item = &'static CatalogueEntry> {
    [&Hard::CATALOGUE]
        .into_iter()
        .chain(burn_distill::response::catalogue())
        .chain(burn_distill::feature::catalogue())
        .chain(burn_distill::relation::catalogue())
}

#[cfg(test)]
impl Loss {
    /// Builds a loss of the toolkit.
    pub fn new(table: &toml::Table, scene: &Scene) -> anyhow::Result<Self> {
        Losses::standard().build(table, scene)
    }
}
