use super::by_itself::TEACHES_ITSELF;
use super::context::{PreparedStrategy, StrategyContext, ViewMode, unzip};
use super::terms::{SOFT_TARGET, cross_entropy_and_soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::input::{AnyMemory, AnyNetwork};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, CrossEntropyObjective, DynObjective};
use burn_distill::strategy::{LastBatchDistiller, MetricKind};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of self-distillation from the last mini-batch.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<DlbRecipe>(CatalogEntry {
    name: "dlb",
    abbreviation: "DLB",
    about: "the predictions of the last step teach",
    kind: "self-distillation",
    aliases: &["last-batch"],
    reference: "Shen et al., Self-Distillation from the Last Mini-Batch for Consistency \
        Regularization, CVPR 2022",
});

/// `kind = "dlb"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DlbRecipe {
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// Distiller from the last batch.
pub type Last = LastBatchDistiller<AnyNetwork, AnyMemory, Vec<DynObjective>>;

impl Check for DlbRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::soft(self.temperature, self.weight)
    }
}

impl DlbRecipe {
    /// Sets up the student with its knowledge of the last batch as the teacher.
    pub fn set_up(context: &StrategyContext) -> Result<PreparedStrategy<Last>> {
        let student = context.student_network()?;
        let why = "the batch and the last one each have it";
        let (weight, tables) = context.cross_entropy_and_others(&student, why)?;
        let losses =
            context.draw(|| context.terms_of_responses(&tables, &student, "the last batch"))?;
        let (terms, objective) = unzip(losses);
        let batch_size = context.student.training.batch_size;
        let mut distiller = LastBatchDistiller::new(student, batch_size, objective);
        distiller.cross_entropy = CrossEntropyObjective::new(weight);
        let mut metrics = vec![
            MetricKind::Loss,
            MetricKind::Accuracy,
            MetricKind::Term(CrossEntropyObjective::TERM.into()),
        ];
        metrics.extend(terms.into_iter().map(MetricKind::Term));
        Ok(PreparedStrategy {
            distiller,
            views: ViewMode::Views(2),
            metrics,
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }
}

impl Strategy for DlbRecipe {
    fn description(&self) -> &'static str {
        TEACHES_ITSELF
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(Self::set_up(context)?.into())
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let options = (&mut self.temperature, &mut self.weight);
        cross_entropy_and_soft(SOFT_TARGET, options, (3.0, 1.0))
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        soft_option(&self.temperature, &self.weight)
    }

    fn uses_several_views(&self) -> bool {
        true
    }
}
