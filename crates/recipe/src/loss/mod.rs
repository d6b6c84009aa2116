mod catch;
mod entries;
mod joint;
mod options;
mod pairing;
mod scene;
mod student;
mod table;
#[cfg(test)]
mod tests;

use crate::network::ImageNetwork;
#[cfg(test)]
use burn_distill::core::{CatalogueEntry, Hard};
use burn_distill::core::{DynObjective, WeightSchedule};

pub use burn_distill::core::{Configuration, DefaultTaps, NoOptions, Preparation};
pub use burn_distill::response::ResponseEntry;
pub use catch::catch;
pub use entries::{LossEntry, Losses};
pub use joint::JointLoss;
pub use scene::Scene;
pub use student::student_of;

/// One term of the loss of a recipe.
#[derive(Clone)]
pub struct Loss {
    /// The name of the term.
    pub name: String,
    /// What computes it, on the CPU.
    pub objective: DynObjective,
    /// How its gradient is clipped, if it is.
    pub clip: Option<LossClip>,
    /// What has to be trained before the student is, if anything.
    pub preparation: Option<Preparation>,
    /// The student as this loss needs it, if not as it is, on the CPU.
    pub student: Option<ImageNetwork>,
}

/// Clipping of the gradient of a loss.
#[derive(Clone)]
pub struct LossClip {
    /// Share of the gradient of the losses that are not clipped.
    pub share: WeightSchedule,
    /// Whether the recipe asks for it. Otherwise it is the default of the kind, which applies where
    /// clipping is possible.
    pub is_asked_for: bool,
}

impl Loss {
    /// Whether the recipe asks for its gradient to be clipped.
    pub fn is_to_be_clipped(&self) -> bool {
        self.clip.as_ref().is_some_and(|clip| clip.is_asked_for)
    }
}

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
