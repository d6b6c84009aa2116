use super::by_itself::TEACHES_ITSELF;
use super::context::{PreparedStrategy, StrategyContext, ViewMode};
use super::terms::cross_entropy;
use super::{Configured, Prepared, Strategy, StrategyEntry};
use crate::input::AnyNetwork;
use anyhow::{Context, Result, ensure};
use burn_distill::core::{CatalogEntry, Check, ConfigError, CrossEntropyObjective, Seed};
use burn_distill::strategy::{
    DropoutDistiller, DropoutDistillerConfig, DropoutDivergence, MetricKind,
};
use toml::Table;

/// The entry of self-distillation by dropout.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<SdDropoutRecipe>(CatalogEntry {
    name: "sd-dropout",
    abbreviation: "SD-Dropout",
    about: "two dropout samples of the features agree",
    kind: "self-distillation",
    aliases: &["dropout"],
    reference: "Lee et al., Self-knowledge Distillation via Dropout, 2022",
});

/// `kind = "sd-dropout"`
pub type SdDropoutRecipe = Configured<DropoutDistillerConfig>;

/// Distiller of a student with dropout on its features.
pub type Dropped = DropoutDistiller<AnyNetwork, CrossEntropyObjective>;

impl Check for SdDropoutRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        self.0.check()
    }
}

impl SdDropoutRecipe {
    /// Sets up the student, whose features pass its classifier twice, with different dropout masks.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Dropped>> {
        let Self(config) = self;
        let student = context.student_network()?;
        let why = "the divergence between the two dropout samples is always added to it";
        let weight = context.cross_entropy_weight(&student, why)?;
        ensure!(
            context.losses.len() == 1,
            "there should be no loss but `{}`: the divergence between the two dropout samples is always \
             added, with the weight `strategy.weight`",
            CrossEntropyObjective::TERM
        );
        // Every repetition draws other masks.
        let seed = Seed::new(context.seed).add(config.seed).value();
        let config = config.clone().with_seed(seed);
        let terms = [CrossEntropyObjective::TERM, DropoutDivergence::TERM].map(String::from);
        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        metrics.extend(terms.map(MetricKind::Term));
        config.fit(&student).context("strategy.tap")?;
        Ok(PreparedStrategy {
            distiller: config.init(student, CrossEntropyObjective::new(weight)),
            views: ViewMode::Views(1),
            metrics,
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }
}

impl Strategy for SdDropoutRecipe {
    fn description(&self) -> &'static str {
        TEACHES_ITSELF
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        // The options are those of the divergence, which is no `[[loss]]`.
        vec![cross_entropy(1.0)]
    }
}
