use super::super::{Prepared, Strategy, StrategyContext, StrategyEntry};
use super::{ExemplarKeys, pool, prepared};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, check};
use burn_distill::strategy::{
    ExemplarBudget, IcarlForm, IcarlObjectiveConfig, TaskMethod, TaskPlan,
};
use serde::{Deserialize, Serialize};

/// The entry of iCaRL.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<IcarlRecipe>(CatalogEntry {
    name: "icarl",
    abbreviation: "iCaRL",
    about: "the network from before a task teaches, with exemplars and nearest means",
    kind: "lifelong",
    aliases: &[],
    reference: "Rebuffi et al., iCaRL: Incremental Classifier and Representation Learning, \
        CVPR 2017",
});

/// Number of exemplars if none is given, as in the authors' code.
const EXEMPLARS: usize = 2000;

/// `kind = "icarl"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IcarlRecipe {
    /// Losses of the two terms.
    pub form: IcarlForm,
    /// Weight of the distillation from the old network.
    pub weight: f64,
    /// Tap of the features that the heads of all tasks share, and by which classes are predicted.
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

impl Default for IcarlRecipe {
    fn default() -> Self {
        Self {
            form: IcarlForm::Binary,
            weight: 1.0,
            tap: pool(),
            exemplars: None,
            exemplars_per_class: None,
            fix_statistics: false,
        }
    }
}

impl IcarlRecipe {
    fn exemplars(&self) -> ExemplarKeys {
        ExemplarKeys {
            total: self.exemplars,
            per_class: self.exemplars_per_class,
        }
    }
}

impl Check for IcarlRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check::weight("weight", self.weight)?;
        self.exemplars().check()
    }
}

impl Strategy for IcarlRecipe {
    fn description(&self) -> &'static str {
        "the network from before a task teaches, with samples of earlier tasks"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        let objective = IcarlObjectiveConfig::new()
            .with_form(self.form)
            .with_weight(self.weight.into());
        let exemplars = self.exemplars().budget();
        let exemplars = exemplars.unwrap_or(ExemplarBudget::Total(EXEMPLARS));
        let plan = TaskPlan::new(TaskMethod::Icarl(objective.init()))
            .with_exemplars(Some(exemplars))
            .with_fixed_statistics(self.fix_statistics);
        prepared(context, plan, &self.tap)
    }

    fn networks(&self) -> usize {
        2
    }

    fn learns_tasks(&self) -> bool {
        true
    }
}
