use super::super::{Prepared, Strategy, StrategyContext, StrategyEntry};
use super::{pool, prepared};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check};
use burn_distill::strategy::{TaskMethod, TaskPlan};
use serde::{Deserialize, Serialize};

/// The entry of training on all tasks so far.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<JointRecipe>(CatalogEntry {
    name: "joint",
    abbreviation: "",
    about: "learns every task with all samples of the earlier ones",
    kind: "lifelong",
    aliases: &["joint-training"],
    reference: "the upper bound of lifelong learning",
});

/// `kind = "joint"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JointRecipe {
    /// Tap of the features that the heads of all tasks share.
    pub tap: String,
}

impl Default for JointRecipe {
    fn default() -> Self {
        Self { tap: pool() }
    }
}

impl Check for JointRecipe {}

impl Strategy for JointRecipe {
    fn description(&self) -> &'static str {
        "the student learns the labels of all tasks so far"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        prepared(context, TaskPlan::new(TaskMethod::Joint), &self.tap)
    }

    fn learns_tasks(&self) -> bool {
        true
    }
}
