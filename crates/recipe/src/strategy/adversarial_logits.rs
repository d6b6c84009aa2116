use super::context::{PreparedStrategy, ViewMode};
use super::terms::{cross_entropy, named};
use super::{
    Configured, Prepared, Strategy, StrategyContext, StrategyEntry, TeacherSetting, checks,
};
use crate::input::{AnyInput, AnyNetwork};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, DynObjective, Frozen};
use burn_distill::strategy::{
    AdversarialLogitDistiller, AdversarialLogitDistillerConfig, DynDistiller, MetricKind,
};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of adversarial distillation of logits.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<AdversarialLogitsRecipe>(CatalogEntry {
    name: "adversarial-logits",
    abbreviation: "",
    about: "a trained teacher teaches, also through a discriminator of logits",
    kind: "offline",
    aliases: &["logit-discriminator"],
    reference: "Xu, Hsu and Huang, Training Student Networks for Acceleration with Conditional \
        Adversarial Networks, BMVC 2018 (our interpretation)",
});

/// `kind = "adversarial-logits"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversarialLogitsRecipe {
    /// Sizes and optimization of the discriminator, and weight of the game.
    pub game: Configured<AdversarialLogitDistillerConfig>,
}

/// Student with its teacher, and a discriminator of their logits.
type Game = AdversarialLogitDistiller<AnyNetwork, Frozen<AnyNetwork>, Vec<DynObjective>>;

impl Check for AdversarialLogitsRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::under("game", &self.game.0)
    }
}

impl Strategy for AdversarialLogitsRecipe {
    fn description(&self) -> &'static str {
        "a trained teacher teaches the student, also through a discriminator"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let mut distance = named("logit-matching", 1.0);
        distance.insert("variant".into(), "absolute-sum".into());
        vec![cross_entropy(1.0), distance]
    }

    fn has_distiller(&self) -> bool {
        true
    }

    fn distiller(
        &self,
        setting: TeacherSetting<'_>,
    ) -> Option<PreparedStrategy<DynDistiller<AnyInput>>> {
        let TeacherSetting {
            student,
            teacher,
            objective,
            classes,
            device,
            ..
        } = setting;
        let Configured(config) = &self.game;
        let distiller = config.init((student, teacher), objective, classes, device);
        let prepared = PreparedStrategy {
            distiller,
            views: ViewMode::Views(1),
            metrics: Game::TERMS
                .iter()
                .map(|name| MetricKind::Term(name.to_string()))
                .collect(),
            finalize: Box::new(|game: Game| Ok(game.offline.student.into())),
        };
        Some(prepared.erased())
    }
}
