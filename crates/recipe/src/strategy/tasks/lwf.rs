use super::super::{Prepared, Strategy, StrategyContext, StrategyEntry};
use super::{ExemplarKeys, pool, prepared};
use crate::numbers::MOST_EPOCHS;
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, DynObjective, check};
use burn_distill::response::{ResponseObjective, SoftCrossEntropyLossConfig};
use burn_distill::strategy::{TaskMethod, TaskPlan};
use serde::{Deserialize, Serialize};

/// The entry of learning without forgetting.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<LwfRecipe>(CatalogEntry {
    name: "lwf",
    abbreviation: "LwF",
    about: "the network from before a task teaches its classes",
    kind: "lifelong",
    aliases: &["learning-without-forgetting"],
    reference: "Li and Hoiem, Learning without Forgetting, ECCV 2016",
});

/// `kind = "lwf"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LwfRecipe {
    /// Temperature of the soft targets.
    pub temperature: f64,
    /// Weight of the soft targets of the old classes. The weight of the labels is 1.
    pub weight: f64,
    /// Probability that is added to the predictions of the old classes, in equal shares.
    pub epsilon: f64,
    /// Tap of the features that the heads of all tasks share.
    pub tap: String,
    /// Number of samples of earlier tasks that are learned again with each task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemplars: Option<usize>,
    /// Number of such samples of each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemplars_per_class: Option<usize>,
    /// Whether the heads of earlier tasks are not trained.
    pub freeze_old_heads: bool,
    /// Whether the running statistics stay those of the first task.
    pub fix_statistics: bool,
    /// Number of epochs in which only the new head is trained, before each task but the first.
    pub warm_up: usize,
}

impl Default for LwfRecipe {
    fn default() -> Self {
        Self {
            temperature: 2.0,
            weight: 1.0,
            epsilon: 0.0,
            tap: pool(),
            exemplars: None,
            exemplars_per_class: None,
            freeze_old_heads: false,
            fix_statistics: false,
            warm_up: 0,
        }
    }
}

impl LwfRecipe {
    fn exemplars(&self) -> ExemplarKeys {
        ExemplarKeys {
            total: self.exemplars,
            per_class: self.exemplars_per_class,
        }
    }

    fn loss(&self) -> SoftCrossEntropyLossConfig {
        SoftCrossEntropyLossConfig::new()
            .with_temperature(self.temperature)
            .with_scale_t2(false)
            .with_epsilon(self.epsilon)
    }
}

impl Check for LwfRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        self.loss().check()?;
        check::weight("weight", self.weight)?;
        check::count_in("warm_up", self.warm_up, 0..=MOST_EPOCHS)?;
        self.exemplars().check()
    }
}

impl Strategy for LwfRecipe {
    fn description(&self) -> &'static str {
        "the network from before a task teaches its classes"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        let soft = ResponseObjective::new(self.loss().init(), self.weight);
        let plan = TaskPlan::new(TaskMethod::Distillation(DynObjective::new(soft)))
            .with_exemplars(self.exemplars().budget())
            .with_frozen_old_heads(self.freeze_old_heads)
            .with_fixed_statistics(self.fix_statistics)
            .with_warm_up(self.warm_up);
        prepared(context, plan, &self.tap)
    }

    fn networks(&self) -> usize {
        2
    }

    fn learns_tasks(&self) -> bool {
        true
    }
}
