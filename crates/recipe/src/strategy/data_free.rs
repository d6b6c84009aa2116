use super::context::{PreparedStrategy, StrategyContext};
use super::terms::{SOFT_TARGET, soft};
use super::without_data::{self, GeneratorRecipe, WithoutData, check_pseudo_batches};
use super::{Configured, Prepared, Strategy, StrategyEntry, checks};
use crate::input::{AnyInput, AnyNetwork};
use anyhow::{Context, Result};
use burn_distill::core::{CatalogEntry, Check, ConfigError, WeightSchedule, check, known_taps};
use burn_distill::strategy::{
    DynDistiller, GeneratorOrder, TeacherLikeObjective, TeacherLikeObjectiveConfig,
};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of data-free learning.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<DataFreeRecipe>(CatalogEntry {
    name: "data-free",
    abbreviation: "DAFL",
    about: "a generator makes images that the teacher treats as its training data",
    kind: "data-free",
    aliases: &["dafl", "data-free-learning"],
    reference: "Chen et al., Data-Free Learning of Student Networks, ICCV 2019",
});

/// `kind = "data-free"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataFreeRecipe {
    /// Number of pseudo batches in an epoch.
    pub pseudo_batches: usize,
    /// Generator of the images.
    pub generator: GeneratorRecipe,
    /// Weights of the terms of the generator, and the tap of the features.
    pub objective: Configured<TeacherLikeObjectiveConfig>,
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

impl Default for DataFreeRecipe {
    fn default() -> Self {
        Self {
            pseudo_batches: 120,
            generator: GeneratorRecipe::default(),
            objective: Configured::default(),
            temperature: None,
        }
    }
}

impl Check for DataFreeRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check_pseudo_batches(self.pseudo_batches)?;
        checks::under("generator", &self.generator)?;
        checks::under("objective", &self.objective.0)?;
        checks::optional(self.temperature, |value| {
            check::temperature("temperature", value)
        })
    }
}

impl WithoutData for DataFreeRecipe {
    fn pseudo_batches(&self) -> usize {
        self.pseudo_batches
    }

    fn prepare(
        &self,
        context: &StrategyContext,
        student: AnyNetwork,
        teacher: AnyNetwork,
    ) -> Result<PreparedStrategy<DynDistiller<AnyInput>>> {
        let Configured(objective) = &self.objective;
        known_taps(&teacher)
            .features(&objective.tap)
            .context("strategy.objective.tap")?;
        let rate = self.generator.learning_rate.clone();
        let config = context
            .config_without_data()
            .with_order(GeneratorOrder::Together {})
            .with_learning_rate(rate.unwrap_or(WeightSchedule::Constant(0.02)))
            .with_clip_norm(None);
        // As in the authors' code, whose normalizations have an unusual addend.
        let generator = self.generator.of(context.image()?);
        let generator = generator.with_tanh(true).with_epsilon(0.8);
        without_data::prepared(
            context,
            (student, teacher),
            (generator, objective.init()),
            config,
            &TeacherLikeObjective::TERMS,
        )
    }
}

impl Strategy for DataFreeRecipe {
    fn description(&self) -> &'static str {
        "a trained teacher teaches the student on images of a generator"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }

    fn without_data(&self) -> Option<&dyn WithoutData> {
        Some(self)
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let temperature = self.temperature.take().unwrap_or(1.0);
        vec![soft(SOFT_TARGET, temperature, 1.0)]
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        self.temperature.map(|_| "temperature")
    }
}
