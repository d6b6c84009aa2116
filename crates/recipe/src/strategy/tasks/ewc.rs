use super::super::{Configured, Prepared, Strategy, StrategyContext, StrategyEntry, checks};
use super::{ExemplarKeys, pool, prepared};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, check};
use burn_distill::strategy::{ElasticConfig, FisherConfig, TaskMethod, TaskPlan};
use serde::{Deserialize, Serialize};

/// The entry of elastic weight consolidation.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<EwcRecipe>(CatalogEntry {
    name: "ewc",
    abbreviation: "EWC",
    about: "important weights stay near their values, without a teacher",
    kind: "lifelong",
    aliases: &["elastic-weight-consolidation"],
    reference: "Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, \
        PNAS 2017",
});

/// `kind = "ewc"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EwcRecipe {
    /// Weight of the penalty.
    pub weight: f64,
    /// Share of the earlier importance after a task.
    pub decay: f64,
    /// Fisher information of a task.
    pub fisher: Configured<FisherConfig>,
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

impl Default for EwcRecipe {
    fn default() -> Self {
        Self {
            weight: 5000.0,
            decay: 0.5,
            fisher: Configured::default(),
            tap: pool(),
            exemplars: None,
            exemplars_per_class: None,
            fix_statistics: false,
        }
    }
}

impl EwcRecipe {
    fn exemplars(&self) -> ExemplarKeys {
        ExemplarKeys {
            total: self.exemplars,
            per_class: self.exemplars_per_class,
        }
    }
}

impl Check for EwcRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check::weight("weight", self.weight)?;
        check::in_range("decay", self.decay, 0.0..=1.0)?;
        checks::under("fisher", &self.fisher.0)?;
        self.exemplars().check()
    }
}

impl Strategy for EwcRecipe {
    fn description(&self) -> &'static str {
        "the student keeps the weights that earlier tasks need"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        let elastic = ElasticConfig::new()
            .with_weight(self.weight.into())
            .with_decay(self.decay)
            .with_fisher(self.fisher.0.clone());
        let plan = TaskPlan::new(TaskMethod::Elastic(elastic))
            .with_exemplars(self.exemplars().budget())
            .with_fixed_statistics(self.fix_statistics);
        prepared(context, plan, &self.tap)
    }

    fn learns_tasks(&self) -> bool {
        true
    }
}
