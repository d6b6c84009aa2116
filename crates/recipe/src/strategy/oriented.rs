use super::context::{PreparedStrategy, ViewMode};
use super::{Prepared, Strategy, StrategyContext, StrategyEntry, TeacherSetting};
use crate::input::{AnyInput, AnyNetwork};
use crate::parts::TrainingRecipe;
use anyhow::{Result, bail, ensure};
use burn_distill::core::{CatalogEntry, Check, ConfigError, DynObjective, Frozen, check};
use burn_distill::strategy::{
    DynDistiller, OptimizerConfig, OrientedDistiller, OrientedDistillerConfig,
};
use serde::{Deserialize, Serialize};

/// The entry of the distillation-oriented trainer.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<OrientedRecipe>(CatalogEntry {
    name: "distillation-oriented",
    abbreviation: "DOT",
    about: "a trained teacher teaches, with a larger momentum than the labels",
    kind: "offline",
    aliases: &["dot"],
    reference: "Zhao et al., DOT: A Distillation-Oriented Trainer, ICCV 2023",
});

/// `kind = "distillation-oriented"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrientedRecipe {
    /// Difference of the momenta of labels and teacher from that of the optimizer.
    pub delta: f64,
}

impl Default for OrientedRecipe {
    fn default() -> Self {
        Self { delta: 0.075 }
    }
}

/// Student with its teacher, and two velocities.
type Oriented = OrientedDistiller<AnyNetwork, Frozen<AnyNetwork>, Vec<DynObjective>>;

impl Check for OrientedRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check::in_range("delta", self.delta, 0.0..=0.5)
    }
}

impl OrientedRecipe {
    /// Returns the configuration of the distiller for the optimizer of the student.
    ///
    /// # Errors
    ///
    /// Returns an error if the optimizer has no plain momentum.
    fn config(&self, optimizer: &OptimizerConfig) -> Result<OrientedDistillerConfig> {
        match optimizer {
            OptimizerConfig::Sgd {
                momentum,
                nesterov: false,
                weight_decay,
                clip_norm: None,
            } => Ok(OrientedDistillerConfig {
                momentum: *momentum,
                delta: self.delta,
                weight_decay: *weight_decay,
            }),
            _ => bail!(
                "`student.training.optimizer` should be `{{ kind = \"sgd\" }}` without `nesterov` and \
                 `clip_norm`, whose momentum the strategy changes: leave out these keys, or the \
                 [strategy]"
            ),
        }
    }
}

impl Strategy for OrientedRecipe {
    fn description(&self) -> &'static str {
        "a trained teacher teaches the student"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }

    fn has_distiller(&self) -> bool {
        true
    }

    fn distiller(
        &self,
        setting: TeacherSetting<'_>,
    ) -> Option<PreparedStrategy<DynDistiller<AnyInput>>> {
        let config = self.config(&setting.training.optimizer).ok()?;
        let networks = (setting.student, setting.teacher);
        let prepared = PreparedStrategy {
            distiller: config.init(networks, setting.objective, setting.of_targets),
            views: ViewMode::Views(1),
            metrics: Vec::new(),
            finalize: Box::new(|oriented: Oriented| Ok(oriented.offline.student.into())),
        };
        Some(prepared.erased())
    }

    fn optimizer(&self, _student: &OptimizerConfig) -> OptimizerConfig {
        OptimizerConfig::descent()
    }

    fn check_distiller(
        &self,
        training: &TrainingRecipe,
        [of_targets, others]: [usize; 2],
    ) -> Result<()> {
        let config = self.config(&training.optimizer)?;
        config.check().map_err(|error| error.under("strategy"))?;
        ensure!(
            of_targets > 0 && others > 0,
            "the labels and the teacher should have at least one loss each, which get different momenta, \
             but there are {of_targets} of the labels and {others} of the teacher: add a [[loss]], such \
             as `cross-entropy` or `soft-target`"
        );
        Ok(())
    }
}
