use super::setting::{Ready, Sees, Setting};
use super::terms::hard;
use super::{Configured, Prepared, Strategy, StrategyEntry};
use crate::input::AnyNetwork;
use crate::loss::catch;
use anyhow::{Result, ensure};
use burn_distill::core::{CatalogueEntry, Check, ConfigError, Hard, Seed};
use burn_distill::strategy::{DropoutDistiller, DropoutDistillerConfig, DropoutDivergence, Figure};
use toml::Table;

/// The entry of self-distillation by dropout.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<SdDropoutRecipe>(CatalogueEntry {
    name: "sd-dropout",
    kind: "a network itself, with others of its features dropped",
    aliases: &["dropout"],
    reference: "Lee et al., Self-knowledge Distillation via Dropout, 2022",
});

/// `kind = "sd-dropout"`
pub type SdDropoutRecipe = Configured<DropoutDistillerConfig>;

/// A network that drops its features.
pub type Dropped = DropoutDistiller<AnyNetwork, Hard>;

impl Check for SdDropoutRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        self.0.check()
    }
}

impl SdDropoutRecipe {
    /// Sets up the student, whose classifier sees its features twice.
    pub fn set_up(&self, setting: &Setting) -> Result<Ready<Dropped>> {
        let Self(config) = self;
        let student = setting.student()?;
        let why = "that between the two answers is always there";
        let weight = setting.hard_weight(&student, why)?;
        ensure!(
            setting.recipe.losses.len() == 1,
            "nobody teaches but the student: there is no loss but `{}`, and that between its \
             answers, whose weight is `strategy.weight`",
            Hard::TERM
        );
        // Every repetition drops others.
        let seed = Seed::new(setting.seed).add(config.seed).value();
        let config = config.clone().with_seed(seed);
        let terms = [Hard::TERM, DropoutDivergence::TERM].map(String::from);
        let mut figures = vec![Figure::Loss, Figure::Accuracy];
        figures.extend(terms.map(Figure::Term));
        Ok(Ready {
            distiller: catch(|| config.init(student, Hard::new(weight)))?,
            sees: Sees::Views(1),
            figures,
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }
}

impl Strategy for SdDropoutRecipe {
    fn who_teaches(&self) -> &'static str {
        "the student teaches itself"
    }

    fn prepare(&self, setting: &Setting) -> Result<Prepared> {
        Ok(Prepared::Training(self.set_up(setting)?.erased()))
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        // The options are of a term that there always is.
        vec![hard(1.0)]
    }
}
