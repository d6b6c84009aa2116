use super::by_itself::{Itself, TEACHES_ITSELF, by_itself};
use super::context::{PreparedStrategy, StrategyContext, ViewMode};
use super::terms::{SOFT_TARGET, cross_entropy_and_soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError};
use burn_distill::strategy::SameClass;
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of class-wise self-distillation.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<CsKdRecipe>(CatalogEntry {
    name: "cs-kd",
    abbreviation: "CS-KD",
    about: "another sample of the same class teaches",
    kind: "self-distillation",
    aliases: &["same-class"],
    reference: "Yun et al., Regularizing Class-wise Predictions via Self-knowledge \
        Distillation, CVPR 2020",
});

/// `kind = "cs-kd"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsKdRecipe {
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Check for CsKdRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::soft(self.temperature, self.weight)
    }
}

impl CsKdRecipe {
    /// Sets up the student with its knowledge of another sample of the class as the teacher.
    pub fn set_up(context: &StrategyContext) -> Result<PreparedStrategy<Itself<SameClass>>> {
        let student = context.student_network()?;
        let (terms, objective) = context.distilled(&student, &student)?;
        Ok(by_itself(
            student,
            SameClass::default(),
            objective,
            &terms,
            ViewMode::Pairs,
        ))
    }
}

impl Strategy for CsKdRecipe {
    fn description(&self) -> &'static str {
        TEACHES_ITSELF
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(Self::set_up(context)?.into())
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let options = (&mut self.temperature, &mut self.weight);
        cross_entropy_and_soft(SOFT_TARGET, options, (4.0, 1.0))
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        soft_option(&self.temperature, &self.weight)
    }

    fn uses_several_views(&self) -> bool {
        true
    }
}
