use super::{Prepared, Strategy, StrategyContext, StrategyEntry, StrategyRecipe};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check};
use serde::{Deserialize, Serialize};

/// Entry of distillation from a trained teacher.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<OfflineRecipe>(CatalogEntry {
    name: "offline",
    abbreviation: "KD",
    about: "a trained, frozen teacher teaches",
    kind: "offline",
    aliases: &["kd"],
    reference: "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
        NIPS Deep Learning Workshop 2014",
});

/// `kind = "offline"`: distillation from the `[teacher]` of the recipe, which is trained first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineRecipe {}

impl Check for OfflineRecipe {}

/// Distillation from a trained teacher, where a recipe has no `[strategy]`.
impl Default for StrategyRecipe {
    fn default() -> Self {
        Self::new(ENTRY.catalog, Box::new(OfflineRecipe {}))
    }
}

impl Strategy for OfflineRecipe {
    fn description(&self) -> &'static str {
        "a trained teacher teaches the student"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }

    fn has_teacher(&self) -> bool {
        true
    }
}
