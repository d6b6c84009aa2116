use super::assistant::{
    AssistantPlan, AssistantRecipe, Guidance, TeachingEpoch, check_count, models_mut,
};
use super::terms::{SOFT_TARGET, cross_entropy, soft, soft_option};
use super::{Prepared, Strategy, StrategyContext, StrategyEntry, checks};
use crate::model::ModelRecipe;
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of densely guided distillation.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<DenseGuidanceRecipe>(CatalogEntry {
    name: "dense-guidance",
    abbreviation: "DGKD",
    about: "the teacher and all assistants teach each smaller network",
    kind: "offline",
    aliases: &["dgkd", "densely-guided"],
    reference: "Son et al., Densely Guided Knowledge Distillation using Multiple Teacher \
        Assistants, ICCV 2021",
});

/// `kind = "dense-guidance"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenseGuidanceRecipe {
    /// Networks between teacher and student, the first of which learns from the teacher only.
    pub assistants: Vec<AssistantRecipe>,
    /// State in which teacher and assistants teach.
    pub teaching_epoch: TeachingEpoch,
    /// Number of guides that are left out at random in every step.
    pub dropped: usize,
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft targets of each guide, if there is no `[[loss]]`; that of the labels is 1
    /// minus it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Default for DenseGuidanceRecipe {
    fn default() -> Self {
        Self {
            assistants: Vec::new(),
            teaching_epoch: TeachingEpoch::Last,
            dropped: 1,
            temperature: None,
            weight: None,
        }
    }
}

impl Check for DenseGuidanceRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check_count(&self.assistants)?;
        // The guides of the student are the teacher and the assistants.
        let assistants = self.assistants.len();
        check::ensure(
            self.dropped <= assistants,
            "dropped",
            format_args!(
                "below the number of guides of the student, which are the teacher and {assistants} \
                 assistants"
            ),
            self.dropped,
        )?;
        checks::soft(self.temperature, None)?;
        checks::rest_of_one(self.weight)
    }
}

impl Strategy for DenseGuidanceRecipe {
    fn description(&self) -> &'static str {
        "the teacher and its assistants teach the student"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let temperature = self.temperature.take().unwrap_or(5.0);
        let weight = self.weight.take().unwrap_or(1.0);
        let labels = (weight < 1.0).then(|| cross_entropy(1.0 - weight));
        let soft = (weight > 0.0).then(|| soft(SOFT_TARGET, temperature, weight));
        labels.into_iter().chain(soft).collect()
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        soft_option(&self.temperature, &self.weight)
    }

    fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        models_mut(&mut self.assistants)
    }

    fn assistants(&self) -> Option<AssistantPlan<'_>> {
        Some(AssistantPlan {
            assistants: &self.assistants,
            guidance: Guidance::All {
                dropped: self.dropped,
            },
            teaching_epoch: self.teaching_epoch,
        })
    }
}
