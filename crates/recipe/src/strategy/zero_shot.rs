use super::context::{PreparedStrategy, StrategyContext};
use super::terms::{SOFT_TARGET, soft};
use super::without_data::{self, GeneratorRecipe, WithoutData, check_pseudo_batches};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::input::{AnyInput, AnyNetwork};
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, check};
use burn_distill::strategy::{
    DisagreementObjective, DisagreementObjectiveConfig, DynDistiller, GeneratorOrder,
};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of zero-shot knowledge transfer.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<ZeroShotRecipe>(CatalogEntry {
    name: "zero-shot",
    abbreviation: "ZSKT",
    about: "a generator looks for images on which student and teacher disagree",
    kind: "data-free",
    aliases: &["zskt", "zero-shot-knowledge-transfer"],
    reference: "Micaelli and Storkey, Zero-shot Knowledge Transfer via Adversarial Belief \
        Matching, NeurIPS 2019",
});

/// `kind = "zero-shot"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZeroShotRecipe {
    /// Number of pseudo batches in an epoch.
    pub pseudo_batches: usize,
    /// Steps of the generator in a pseudo batch.
    pub generator_steps: usize,
    /// Steps of the student in a pseudo batch.
    pub student_steps: usize,
    /// Generator of the images.
    pub generator: GeneratorRecipe,
    /// Maximum norm of the gradient of the generator, and of that of the student.
    pub clip_norm: f64,
    /// Temperature of the disagreement, and of the soft targets if there is no `[[loss]]`.
    pub temperature: f64,
    /// Weight of the attention transfer, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<f64>,
}

impl Default for ZeroShotRecipe {
    fn default() -> Self {
        Self {
            pseudo_batches: 100,
            generator_steps: 1,
            student_steps: 10,
            generator: GeneratorRecipe::default(),
            clip_norm: 5.0,
            temperature: 1.0,
            attention: None,
        }
    }
}

impl Check for ZeroShotRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check_pseudo_batches(self.pseudo_batches)?;
        check::count_in("generator_steps", self.generator_steps, 1..=LARGEST)?;
        check::count_in("student_steps", self.student_steps, 1..=LARGEST)?;
        checks::under("generator", &self.generator)?;
        check::positive("clip_norm", self.clip_norm)?;
        check::temperature("temperature", self.temperature)?;
        checks::optional(self.attention, |weight| check::weight("attention", weight))
    }
}

/// Largest number of steps in a pseudo batch.
const LARGEST: usize = 1 << 16;

impl WithoutData for ZeroShotRecipe {
    fn pseudo_batches(&self) -> usize {
        self.pseudo_batches
    }

    fn prepare(
        &self,
        context: &StrategyContext,
        student: AnyNetwork,
        teacher: AnyNetwork,
    ) -> Result<PreparedStrategy<DynDistiller<AnyInput>>> {
        let rate = self.generator.learning_rate.clone();
        let config = context
            .config_without_data()
            .with_order(GeneratorOrder::Turns {
                generator_steps: self.generator_steps,
                student_steps: self.student_steps,
            })
            .with_learning_rate(rate.unwrap_or_else(|| without_data::cosine(1e-3, context)))
            .with_clip_norm(Some(self.clip_norm));
        let objective = DisagreementObjectiveConfig::new().with_temperature(self.temperature);
        let generator = self.generator.of(context.image()?);
        without_data::prepared(
            context,
            (student, teacher),
            (generator, objective.init()),
            config,
            &[DisagreementObjective::TERM],
        )
    }
}

impl Strategy for ZeroShotRecipe {
    fn description(&self) -> &'static str {
        "a trained teacher teaches the student on images of a generator"
    }

    fn prepare(&self, _context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }

    fn without_data(&self) -> Option<&dyn WithoutData> {
        Some(self)
    }

    fn take_terms(&mut self, _epochs: usize, classes: usize) -> Vec<Table> {
        // The authors average the divergence over classes, too, and do not multiply it by T².
        let weight = 1.0 / (classes as f64 * self.temperature.powi(2));
        let soft = soft(SOFT_TARGET, self.temperature, weight);
        let attention = self.attention.take().unwrap_or(250.0);
        let mut maps = Table::new();
        maps.insert("kind".into(), "attention-transfer".into());
        maps.insert("weight".into(), attention.into());
        let terms = [Some(soft), (attention > 0.0).then_some(maps)];
        terms.into_iter().flatten().collect()
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        self.attention.map(|_| "attention")
    }
}
