use super::context::{PreparedStrategy, StrategyContext, ViewMode};
use super::terms::hard;
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

/// A network that drops its features.
pub type Dropped = DropoutDistiller<AnyNetwork, CrossEntropyObjective>;

impl Check for SdDropoutRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        self.0.check()
    }
}

impl SdDropoutRecipe {
    /// Sets up the student, whose classifier sees its features twice.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Dropped>> {
        let Self(config) = self;
        let student = context.student()?;
        let why = "that between the two answers is always there";
        let weight = context.hard_weight(&student, why)?;
        ensure!(
            context.recipe.losses.len() == 1,
            "nobody teaches but the student: there is no loss but `{}`, and that between its \
             answers, whose weight is `strategy.weight`",
            CrossEntropyObjective::TERM
        );
        // Every repetition drops others.
        let seed = Seed::new(context.seed).add(config.seed).value();
        let config = config.clone().with_seed(seed);
        let terms = [CrossEntropyObjective::TERM, DropoutDivergence::TERM].map(String::from);
        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        metrics.extend(terms.map(MetricKind::Term));
        config.fit(&student).context("strategy.tap")?;
        Ok(PreparedStrategy {
            distiller: config.init(student, CrossEntropyObjective::new(weight)),
            sees: ViewMode::Views(1),
            metrics,
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }
}

impl Strategy for SdDropoutRecipe {
    fn who_teaches(&self) -> &'static str {
        "the student teaches itself"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::Training(self.set_up(context)?.erased()))
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        // The options are of a term that there always is.
        vec![hard(1.0)]
    }
}
