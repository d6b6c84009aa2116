use super::context::StrategyContext;
use super::prepared::Generations;
use super::terms::{SOFT_CROSS_ENTROPY, cross_entropy, soft};
use super::{Prepared, Strategy, StrategyEntry};
use crate::input::AnyNetwork;
use crate::numbers::MOST_VIEWS;
use anyhow::Result;
use burn_distill::core::{
    CatalogEntry, Check, ConfigError, CrossEntropyObjective, DynObjective, Weighted, check,
};
use burn_distill::response::{ConfidenceWeighted, PermutedPredictions, SoftCrossEntropyLossConfig};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of born-again networks.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<BornAgainRecipe>(CatalogEntry {
    name: "born-again",
    abbreviation: "BAN",
    about: "each generation teaches the next",
    kind: "self-distillation",
    aliases: &["ban"],
    reference: "Furlanello et al., Born Again Neural Networks, ICML 2018 (our interpretation)",
});

/// `kind = "born-again"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BornAgainRecipe {
    /// Number of students, each distilled from the one before it.
    pub generations: usize,
    /// Terms of a generation, if there is no `[[loss]]`.
    pub variant: BornAgainVariant,
    /// Whether there is a cross-entropy with the labels too, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<bool>,
    /// Whether the outputs of a generation, as a teacher, are computed in training mode, normalized
    /// by the statistics of each batch.
    pub training_mode: bool,
}

/// Terms of a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BornAgainVariant {
    /// Soft cross-entropy with the predictions of the previous generation.
    #[default]
    Ban,
    /// Cross-entropy with the labels, weighted by the confidence of the previous generation.
    Cwtm,
    /// Soft cross-entropy with these predictions, permuted except for the most probable class.
    Dkpp,
}

impl Default for BornAgainRecipe {
    fn default() -> Self {
        Self {
            generations: 3,
            variant: BornAgainVariant::default(),
            labels: None,
            training_mode: false,
        }
    }
}

impl Check for BornAgainRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("generations", self.generations, 1..=MOST_VIEWS)
    }
}

impl BornAgainRecipe {
    /// Builds the terms of the generation of that number, whose teacher is the one before it, with
    /// their names.
    pub fn generation(
        &self,
        context: &StrategyContext,
        number: usize,
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<(Vec<String>, Vec<DynObjective>)> {
        let (name, towards) = match self.variant {
            // The recipe has these terms as losses.
            BornAgainVariant::Ban => return context.distilled(student, teacher),
            BornAgainVariant::Cwtm => {
                let weighted = ConfidenceWeighted::new(1.0);
                let name = ConfidenceWeighted::TERM.to_string();
                (name, DynObjective::new(weighted))
            }
            BornAgainVariant::Dkpp => {
                let soft = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
                let seed = context.seed_of(number).value();
                let permuted =
                    Weighted::of(PermutedPredictions::new(soft.init(), seed as usize), 1.0);
                (permuted.name.clone(), DynObjective::new(permuted))
            }
        };
        let cross_entropy = || {
            (
                CrossEntropyObjective::TERM.to_string(),
                DynObjective::new(CrossEntropyObjective::new(1.0)),
            )
        };
        let labels = self.labels.unwrap_or(false).then(cross_entropy);
        Ok(labels.into_iter().chain([(name, towards)]).unzip())
    }
}

impl Strategy for BornAgainRecipe {
    fn description(&self) -> &'static str {
        "each generation teaches the next"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        let options = self.clone();
        Ok(Prepared::Generations(Generations {
            count: self.generations,
            training_mode: self.training_mode,
            objective: Box::new(move |context, number, student, teacher| {
                options.generation(context, number, student, teacher)
            }),
        }))
    }

    fn check_losses(&self, context: &StrategyContext) -> Result<()> {
        let [student, teacher] = [2, 1].map(|place| context.beside(context.model(), place));
        let (student, teacher) = (student?, teacher?);
        self.generation(context, 2, &student, &teacher).map(drop)
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        // A recipe cannot name the terms of the other variants as losses.
        if self.variant != BornAgainVariant::Ban {
            return Vec::new();
        }
        let labels = self.labels.take().unwrap_or(false);
        let labels = labels.then(|| cross_entropy(1.0));
        labels
            .into_iter()
            .chain([soft(SOFT_CROSS_ENTROPY, 1.0, 1.0)])
            .collect()
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        let variant = self.variant != BornAgainVariant::default();
        variant
            .then_some("variant")
            .or(self.labels.map(|_| "labels"))
    }
}
