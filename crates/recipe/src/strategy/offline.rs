use super::{Prepared, Setting, Strategy, StrategyEntry};
use anyhow::Result;
use burn_distill::core::{CatalogueEntry, Check};
use serde::{Deserialize, Serialize};

/// The entry of a trained teacher.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<OfflineRecipe>(CatalogueEntry {
    name: "offline",
    kind: "a trained teacher that no longer changes",
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

    fn prepare(&self, _setting: &Setting) -> Result<Prepared> {
        Ok(Prepared::ByTeacher)
    }

    fn has_teacher(&self) -> bool {
        true
    }
}
