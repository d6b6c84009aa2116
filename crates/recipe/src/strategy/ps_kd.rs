use super::by_itself::{Itself, TEACHES_ITSELF, by_itself};
use super::context::{PreparedStrategy, StrategyContext, ViewMode, unzip};
use super::terms::{SOFT_CROSS_ENTROPY, cross_entropy, soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use anyhow::Result;
use burn::tensor::Device;
use burn_distill::core::{CatalogEntry, ChangingWeight, Check, ConfigError};
use burn_distill::strategy::PastPredictions;
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of progressive self-distillation.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<PsKdRecipe>(CatalogEntry {
    name: "ps-kd",
    abbreviation: "PS-KD",
    about: "the predictions of the last epoch teach",
    kind: "self-distillation",
    aliases: &["past-predictions"],
    reference: "Kim et al., Self-Knowledge Distillation with Progressive Refinement of \
        Targets, ICCV 2021",
});

/// `kind = "ps-kd"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PsKdRecipe {
    /// Weight of past predictions in the last epoch, if there is no `[[loss]]`. The weight of the
    /// labels is 1 minus it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Check for PsKdRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::rest_of_one(self.weight)
    }
}

impl PsKdRecipe {
    /// Sets up the student with its past predictions as the teacher.
    pub fn set_up(context: &StrategyContext) -> Result<PreparedStrategy<Itself<PastPredictions>>> {
        let student = context.student_network()?;
        let tables = context.numbered_losses();
        let losses =
            context.draw(|| context.terms_of_responses(&tables, &student, "the last epoch"))?;
        let samples = context.samples.iter().map(|(id, _)| id + 1).max();
        let memory = PastPredictions::new(
            samples.unwrap_or_default(),
            context.task.classes,
            &Device::flex(),
        );
        let (terms, objective) = unzip(losses);
        Ok(by_itself(
            student,
            memory,
            objective,
            &terms,
            ViewMode::Views(1),
        ))
    }
}

impl Strategy for PsKdRecipe {
    fn description(&self) -> &'static str {
        TEACHES_ITSELF
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(Self::set_up(context)?.into())
    }

    fn take_terms(&mut self, epochs: usize, _classes: usize) -> Vec<Table> {
        let weight = self.weight.take().unwrap_or(0.8);
        let line = |from, to| ChangingWeight::Linear { from, to, epochs };
        let past = line(0.0, weight);
        vec![
            cross_entropy(line(1.0, 1.0 - weight)),
            soft(SOFT_CROSS_ENTROPY, 1.0, past),
        ]
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        soft_option(&None, &self.weight)
    }
}
