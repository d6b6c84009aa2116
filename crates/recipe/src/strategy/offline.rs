use super::{Prepared, Strategy, StrategyContext, StrategyEntry};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check};
use serde::{Deserialize, Serialize};

/// The entry of a trained teacher.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<OfflineRecipe>(CatalogEntry {
    name: "offline",
    abbreviation: "KD",
    about: "a trained, frozen teacher teaches",
    kind: "offline",
    aliases: &["kd"],
    reference: "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
        NIPS Deep Learning Workshop 2014",
});

/// `kind = "offline"`: the `[teacher]` of the recipe, which is trained before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineRecipe {}

impl Check for OfflineRecipe {}

impl Strategy for OfflineRecipe {
    fn who_teaches(&self) -> &'static str {
        "a trained teacher does"
    }

    fn prepare(&self, _setting: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::ByTeacher)
    }

    fn has_teacher(&self) -> bool {
        true
    }
}
