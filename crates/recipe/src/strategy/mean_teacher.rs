use super::by_itself::{Itself, TEACHES_ITSELF, by_itself};
use super::context::{Member, Outcome, PreparedStrategy, StrategyContext, ViewMode};
use super::ramp::Ramp;
use super::terms::{ramp_option, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::input::AnyNetwork;
use crate::parts::StudentRecipe;
use anyhow::{Result, ensure};
use burn_distill::core::{
    CatalogEntry, Check, ConfigError, CrossEntropyObjective, DynObjective, LossDenominator,
    RampInterval, check,
};
use burn_distill::response::{ProbabilityMatchingLossConfig, ResponseObjective};
use burn_distill::strategy::MeanTeacher;
use serde::{Deserialize, Serialize};
use toml::Table;

/// Weight of the consistency in the end, and the epochs until then, as in the experiments of the
/// authors with mean squares.
const CONSISTENCY: f64 = 100.0;
const RAMP_EPOCHS: usize = 5;

/// The entry of mean teacher.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<MeanTeacherRecipe>(CatalogEntry {
    name: "mean-teacher",
    abbreviation: "MT",
    about: "a moving average teaches, on another view",
    kind: "self-distillation",
    aliases: &["ema"],
    reference: "Tarvainen and Valpola, Mean teachers are better role models, NIPS 2017",
});

/// `kind = "mean-teacher"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeanTeacherRecipe {
    /// Decay of the moving average, in the end.
    pub decay: f64,
    /// Whether the average starts as the mean of the steps so far.
    pub warm_up: bool,
    /// Whether the outputs of the average are computed in training mode, as in the authors' code.
    pub training_mode: bool,
    /// Whether the average starts with other random weights than the student, as in the authors'
    /// code.
    pub random_start: bool,
    /// Number of labeled samples in every batch; 0 draws batches from all samples alike. Default: a
    /// quarter of the batch where `data.labels_per_class` is given, else 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labeled_per_batch: Option<usize>,
    /// Weight of the consistency in the end, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Number of epochs over which this weight rises, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_epochs: Option<usize>,
    /// Interval at which that weight changes. Default: once per epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_interval: Option<RampInterval>,
}

impl Default for MeanTeacherRecipe {
    fn default() -> Self {
        Self {
            decay: 0.999,
            warm_up: true,
            training_mode: true,
            random_start: false,
            labeled_per_batch: None,
            weight: None,
            ramp_epochs: None,
            ramp_interval: None,
        }
    }
}

impl Check for MeanTeacherRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check::in_range("decay", self.decay, 0.0..=1.0)?;
        checks::soft(None, self.weight)?;
        checks::ramp(self.ramp_epochs)
    }
}

impl MeanTeacherRecipe {
    /// Sets up the student with its moving average as the teacher, which is a member of the result.
    pub fn set_up(
        &self,
        context: &StrategyContext,
    ) -> Result<PreparedStrategy<Itself<MeanTeacher<AnyNetwork>>>> {
        let student = context.student_network()?;
        let (terms, objective) = match context.losses.is_empty() {
            true => self.consistency(),
            false => context.distilled(&student, &student)?,
        };
        self.check_labeled_per_batch(context)?;
        let start = match self.random_start {
            true => context.beside(context.model(), 1)?,
            false => student.clone(),
        };
        let average = MeanTeacher::new(&start, self.decay)
            .with_warm_up(self.warm_up)
            .with_training_mode(self.training_mode);
        let training = by_itself(student, average, objective, &terms, ViewMode::Views(2));
        let model = context.model().to_string();
        Ok(PreparedStrategy {
            finalize: Box::new(move |distiller| {
                let average = distiller.teacher.average.inner().clone();
                Ok(Outcome {
                    student: distiller.student,
                    members: vec![Member::new("average", model, average)],
                })
            }),
            ..training
        })
    }

    /// Checks that batches can have the number of labeled samples that a recipe asks for.
    fn check_labeled_per_batch(&self, context: &StrategyContext) -> Result<()> {
        const KEY: &str = "`strategy.labeled_per_batch`";
        let labeled = self.labeled_per_batch.unwrap_or(0);
        let batch_size = context.student.training.batch_size;
        ensure!(
            labeled < batch_size,
            "{KEY} should be below `student.training.batch_size`, which is {batch_size}, but is \
             {labeled}: the rest of a batch is unlabeled"
        );
        ensure!(
            labeled == 0 || context.data.labels_per_class.is_some(),
            "{KEY} is {labeled}, but all samples are labeled: give `data.labels_per_class`, or \
             leave it out"
        );
        Ok(())
    }

    fn ramp(&self) -> Ramp {
        Ramp {
            epochs: self.ramp_epochs.unwrap_or(RAMP_EPOCHS),
            interval: self.ramp_interval.unwrap_or_default(),
        }
    }

    /// Returns the terms of the authors, with their names.
    fn consistency(&self) -> (Vec<String>, Vec<DynObjective>) {
        let weight = self.ramp().to(self.weight.unwrap_or(CONSISTENCY));
        let loss = ProbabilityMatchingLossConfig::new().init();
        let consistency = ResponseObjective::new(loss, weight);
        let names = vec![
            CrossEntropyObjective::TERM.to_string(),
            consistency.name.clone(),
        ];
        let cross_entropy = DynObjective::new(
            CrossEntropyObjective::new(1.0).with_denominator(LossDenominator::All),
        );
        (names, vec![cross_entropy, DynObjective::new(consistency)])
    }
}

impl Strategy for MeanTeacherRecipe {
    fn description(&self) -> &'static str {
        TEACHES_ITSELF
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        let of_ramp = ramp_option(&self.ramp_epochs, &self.ramp_interval);
        soft_option(&None, &self.weight).or(of_ramp)
    }

    fn warning(&self, student: &StudentRecipe, losses: &[Table]) -> Option<String> {
        let trained = student.training.epochs;
        let ramp = losses.is_empty().then(|| self.ramp());
        ramp?.warning("the weight of the consistency", trained)
    }

    fn uses_several_views(&self) -> bool {
        true
    }

    fn networks(&self) -> usize {
        2
    }

    fn labeled_per_batch(&self, batch_size: usize, labels: usize, samples: usize) -> usize {
        match self.labeled_per_batch {
            Some(labeled) => labeled,
            // The authors' experiments have 31 of 128 samples, but at most the number of labels.
            None if labels < samples => labels.min(batch_size / 4),
            None => 0,
        }
    }
}
