use super::super::{Prepared, Strategy, StrategyContext, StrategyEntry};
use super::{ExemplarKeys, pool, prepared};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError};
use burn_distill::strategy::{TaskMethod, TaskPlan};
use serde::{Deserialize, Serialize};

/// The entry of fine-tuning on each task.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<FineTuningRecipe>(CatalogEntry {
    name: "fine-tuning",
    abbreviation: "",
    about: "learns one task after another, and forgets",
    kind: "lifelong",
    aliases: &["finetuning"],
    reference: "the lower bound of lifelong learning",
});

/// `kind = "fine-tuning"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FineTuningRecipe {
    /// Tap of the features that the heads of all tasks share.
    pub tap: String,
    /// Number of samples of earlier tasks that are learned again with each task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemplars: Option<usize>,
    /// Number of such samples of each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemplars_per_class: Option<usize>,
    /// Whether the running statistics stay those of the first task.
    pub fix_statistics: bool,
}

impl Default for FineTuningRecipe {
    fn default() -> Self {
        Self {
            tap: pool(),
            exemplars: None,
            exemplars_per_class: None,
            fix_statistics: false,
        }
    }
}

impl FineTuningRecipe {
    fn exemplars(&self) -> ExemplarKeys {
        ExemplarKeys {
            total: self.exemplars,
            per_class: self.exemplars_per_class,
        }
    }
}

impl Check for FineTuningRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        self.exemplars().check()
    }
}

impl Strategy for FineTuningRecipe {
    fn description(&self) -> &'static str {
        "the student learns the labels of one task after another"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        let plan = TaskPlan::new(TaskMethod::FineTuning)
            .with_exemplars(self.exemplars().budget())
            .with_fixed_statistics(self.fix_statistics);
        prepared(context, plan, &self.tap)
    }

    fn learns_tasks(&self) -> bool {
        true
    }
}
