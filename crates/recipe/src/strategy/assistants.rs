use super::assistant::{
    AssistantPlan, AssistantRecipe, Guidance, TeachingEpoch, check_count, models_mut,
};
use super::{Prepared, Strategy, StrategyContext, StrategyEntry};
use crate::model::ModelRecipe;
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError};
use serde::{Deserialize, Serialize};

/// The entry of teacher assistants.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<AssistantsRecipe>(CatalogEntry {
    name: "assistants",
    abbreviation: "TAKD",
    about: "each network of a chain teaches the next, smaller one",
    kind: "offline",
    aliases: &["takd", "teacher-assistants"],
    reference: "Mirzadeh et al., Improved Knowledge Distillation via Teacher Assistant, AAAI 2020",
});

/// `kind = "assistants"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AssistantsRecipe {
    /// Networks between teacher and student, the first of which learns from the teacher.
    pub assistants: Vec<AssistantRecipe>,
    /// State in which teacher and assistants teach.
    pub teaching_epoch: TeachingEpoch,
}

impl Check for AssistantsRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check_count(&self.assistants)
    }
}

impl Strategy for AssistantsRecipe {
    fn description(&self) -> &'static str {
        "the teacher teaches an assistant, which teaches the student"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }

    fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        models_mut(&mut self.assistants)
    }

    fn assistants(&self) -> Option<AssistantPlan<'_>> {
        Some(AssistantPlan {
            assistants: &self.assistants,
            guidance: Guidance::Previous,
            teaching_epoch: self.teaching_epoch,
        })
    }
}
