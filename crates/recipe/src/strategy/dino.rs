//! Views without labels, before the student knows some.

use super::by_itself::WHO;
use super::context::{Outcome, PreparedStrategy, StrategyContext, ViewMode};
use super::prepared::Pretraining;
use super::{Configured, Prepared, Strategy, StrategyEntry, checks};
use crate::Recipe;
use crate::configure::configure;
use crate::fault::{Fault, Place};
use crate::input::AnyNetwork;
use crate::memory::{fits, trained};
use crate::numbers::{MOST_EPOCHS, MOST_VIEWS};
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{
    CatalogEntry, ChangingWeight, Check, Clock, ConfigError, Tap, WeightSchedule, check, known_taps,
};
use burn_distill::data::MultiCrop;
use burn_distill::strategy::{
    DinoDistiller, DinoHeadConfig, DinoNetwork, DinoObjective, DinoObjectiveConfig, MeanTeacher,
    MetricKind,
};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of DINO.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<DinoRecipe>(CatalogEntry {
    name: "dino",
    abbreviation: "DINO",
    about: "a moving average teaches, without labels",
    kind: "self-distillation",
    aliases: &[],
    reference: "Caron et al., Emerging Properties in Self-Supervised Vision Transformers, \
        ICCV 2021",
});

/// The hidden size of a head for each feature that it sees, up to that of the authors: theirs for
/// the features of a ResNet-20.
const HIDDEN_PER_FEATURE: usize = 32;
/// The size of the bottleneck for each feature, likewise.
const BOTTLENECK_PER_FEATURE: usize = 4;

/// `kind = "dino"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DinoRecipe {
    /// Number of views of each sample at its full size that the student sees; the average sees the
    /// first two. Default: 4, and 2 with local crops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<usize>,
    /// Number of small crops of each sample, which the student alone sees. The views at full size are
    /// then random crops, too, resized.
    pub local_crops: usize,
    /// Height and width of a local crop in pixels. Default: 3/7 of those of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_size: Option<usize>,
    /// Least and largest part of the image that a crop at full size shows, with local crops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_scale: Option<[f64; 2]>,
    /// Least and largest part of the image that a local crop shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_scale: Option<[f64; 2]>,
    /// Number of epochs without labels: as many as those with labels if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Share of the average that stays at each step at first; in the end, all.
    pub decay: f64,
    /// Whether the average teaches in training mode, as that of the authors.
    pub training_mode: bool,
    /// Decoupled weight decay over the epochs without labels, in the place of that of the optimizer:
    /// not of biases and other one-dimensional parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<WeightSchedule>,
    /// The tap of the student that the head sees.
    pub tap: String,
    /// The head: what is not given is sized for the student.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub head: Table,
    /// Objective between the views.
    pub objective: Configured<DinoObjectiveConfig>,
}

impl Default for DinoRecipe {
    fn default() -> Self {
        Self {
            views: None,
            local_crops: 0,
            local_size: None,
            global_scale: None,
            local_scale: None,
            epochs: None,
            decay: 0.996,
            training_mode: true,
            weight_decay: None,
            tap: "pool".into(),
            head: Table::new(),
            objective: Configured::default(),
        }
    }
}

/// The student with a head, and its average.
pub type Dino = DinoDistiller<Headed, MeanTeacher<Headed>, DinoObjective>;

type Headed = DinoNetwork<AnyNetwork>;

impl Check for DinoRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::optional(self.views, |views| {
            check::count_in("views", views, 1..=MOST_VIEWS)
        })?;
        check::count_in("local_crops", self.local_crops, 0..=MOST_VIEWS)?;
        checks::optional(self.epochs, |epochs| {
            check::count_in("epochs", epochs, 1..=MOST_EPOCHS)
        })?;
        check::in_range("decay", self.decay, 0.0..=1.0)?;
        checks::under("objective", &self.objective.0)
    }
}

impl DinoRecipe {
    /// Sets up the training without labels: the average is what the student goes on from.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Dino>> {
        let sees = self.sees(context)?;
        ensure!(
            context.recipe.losses.is_empty(),
            "there is a [[loss]], but views are compared by prototypes, and labels are learned as \
             without a strategy: leave it out"
        );
        let epochs = self.epochs(context.recipe);
        if let Some(schedule) = &self.weight_decay {
            for epoch in [1, epochs + 1] {
                let clock = Clock {
                    epoch,
                    ..Clock::start()
                };
                let decay = schedule.at(&clock);
                ensure!(
                    decay >= 0.0 && decay.is_finite(), // This also rejects NaN
                    "`strategy.weight_decay` should be finite and not negative, but comes to {decay} \
                     at epoch {epoch}"
                );
            }
        }
        let student = context.student()?;
        let (head, objective) = (self.head(context, &student)?, &self.objective.0);
        let distiller = context.draw(|| {
            let student = head.init_network(student, &self.tap);
            let decay = ChangingWeight::Cosine {
                from: self.decay,
                to: 1.0,
                epochs,
            };
            let teacher = MeanTeacher::new(&student, decay)
                .with_warm_up(false)
                .with_training_mode(self.training_mode);
            let objective = objective.init(head.d_output, 1.0, &Device::flex());
            let distiller = DinoDistiller::new(student, teacher, objective);
            match &self.weight_decay {
                Some(schedule) => distiller.with_weight_decay(schedule.clone()),
                None => distiller,
            }
        });
        let plain = context.student()?;
        Ok(PreparedStrategy {
            distiller,
            sees,
            metrics: vec![
                MetricKind::Loss,
                MetricKind::Agreement,
                MetricKind::Term(DinoObjective::TERM.into()),
            ],
            outcome: Box::new(move |distiller| {
                let average = distiller.teacher.average.inner();
                // Into a network that trains: the average does not.
                let record = average.backbone.valid().into_record();
                let student: AnyNetwork = plain.try_load_record(record)?;
                Ok(Outcome::from(student))
            }),
        })
    }

    /// Returns the head: what the recipe does not give is the authors', but no larger than the student and
    /// its samples are worth.
    pub fn head(&self, context: &StrategyContext, student: &AnyNetwork) -> Result<DinoHeadConfig> {
        let features = known_taps(student);
        let features = features.get(&self.tap).at("strategy.tap")?;
        let features = match features {
            Tap::Attention(_) | Tap::Mask(_) => {
                let text = "it is neither a vector nor a map nor a sequence of tokens";
                return Err(Fault::other("strategy.tap", text).into());
            }
            // The last axis of tokens, else the first after the batch.
            Tap::Sequence(tokens) => tokens.dims()[2],
            tap => tap.shape().as_slice()[1],
        };
        let authors = DinoHeadConfig::new();
        let samples = context.samples.len();
        let default = DinoHeadConfig::new()
            .with_d_output(authors.d_output.min(samples))
            .with_d_hidden(authors.d_hidden.min(HIDDEN_PER_FEATURE * features))
            .with_d_bottleneck(authors.d_bottleneck.min(BOTTLENECK_PER_FEATURE * features));
        let head = configure(&default, &self.head, &[]).at("strategy.head")?;
        let DinoHeadConfig {
            d_output,
            d_hidden,
            d_bottleneck,
        } = head;
        let numbers = |sizes: [usize; 2]| sizes[0] as f64 * sizes[1] as f64;
        let hidden = numbers([features + d_hidden, d_hidden]);
        let fits = |key, value, parameters| fits(key, value, 2.0 * trained(parameters));
        fits("d_hidden", d_hidden, hidden)
            .and_then(|()| {
                fits(
                    "d_bottleneck",
                    d_bottleneck,
                    numbers([d_hidden, d_bottleneck]),
                )
            })
            .and_then(|()| fits("d_output", d_output, numbers([d_bottleneck, d_output])))
            .at("strategy.head")?;
        Ok(head)
    }

    /// Returns the views of each sample, once it is sure that the student can see them.
    fn sees(&self, context: &StrategyContext) -> Result<ViewMode> {
        let least = if self.local_crops > 0 { 1 } else { 2 };
        let default = if self.local_crops > 0 { 2 } else { 4 };
        let views = self.views.unwrap_or(default);
        ensure!(
            (least..=64).contains(&views),
            "`strategy.views` should be from {least} to 64, but is {views}"
        );
        if self.local_crops == 0 {
            for (key, given) in [
                ("local_size", self.local_size.is_some()),
                ("local_scale", self.local_scale.is_some()),
                ("global_scale", self.global_scale.is_some()),
            ] {
                ensure!(
                    !given,
                    "`strategy.{key}` is of local crops, and there are none: give \
                     `strategy.local_crops`, which is 0, or leave it out"
                );
            }
            return Ok(ViewMode::Views(views));
        }

        let architecture = context.recipe.registry.network(context.model())?;
        ensure!(
            architecture.takes_several_sizes(),
            "`strategy.local_crops` is {}, but {} takes images of one size: take a network of \
             convolutions as `student.model`, or leave it out",
            self.local_crops,
            context.model()
        );
        let shape = context.task.image()?;
        let defaults = MultiCrop::new(shape);
        let crop = MultiCrop {
            globals: views,
            locals: self.local_crops,
            local_size: match self.local_size {
                Some(size) => [size; 2],
                None => defaults.local_size,
            },
            global_scale: self.global_scale.unwrap_or(defaults.global_scale),
            local_scale: self.local_scale.unwrap_or(defaults.local_scale),
        };
        crop.check(shape).context("strategy")?;
        let augmentation = &context.recipe.data.augmentation;
        augmentation
            .check_multi_crop()
            .context("data.augmentation")?;
        Ok(ViewMode::Crops(crop))
    }

    /// Returns the number of epochs without labels.
    pub fn epochs(&self, recipe: &Recipe) -> usize {
        self.epochs.unwrap_or(recipe.student.training.epochs)
    }
}

impl Strategy for DinoRecipe {
    fn who_teaches(&self) -> &'static str {
        WHO
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::Pretraining(Pretraining {
            ready: self.set_up(context)?.erased(),
            epochs: self.epochs(context.recipe),
            decays_weights: self.weight_decay.is_some(),
        }))
    }

    fn warning(&self, recipe: &Recipe) -> Option<String> {
        let epochs = self.epochs(recipe);
        let warm_up = self.objective.0.warm_up;
        (warm_up > epochs).then(|| {
            format!(
                "in {epochs} epochs the temperature of the average does not rise to its end: \
                 lower `strategy.objective.warm_up`, which is {warm_up}"
            )
        })
    }

    fn sees_several_views(&self) -> bool {
        true
    }

    fn networks(&self) -> usize {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::error;
    use crate::strategy::tests::{RECIPE, changed, options};

    fn ready(changes: &[&str]) -> PreparedStrategy<Dino> {
        let recipe = changed(changes);
        let options: &DinoRecipe = options(&recipe);
        options
            .set_up(&StrategyContext::to_check(&recipe).unwrap())
            .unwrap()
    }

    #[test]
    fn local_crops_come_beside_two_large_views() {
        let sees = ready(&["strategy={ kind = 'dino', local_crops = 6 }"]).sees;
        let ViewMode::Crops(crop) = sees else {
            panic!("there are crops");
        };
        let expected = MultiCrop {
            locals: 6,
            ..MultiCrop::new([1, 8, 8])
        };
        assert_eq!(crop, expected);
        assert_eq!((crop.globals, crop.local_size), (2, [3, 3]));

        let given = "strategy={ kind = 'dino', local_crops = 1, local_size = 5, views = 3, \
                     local_scale = [0.1, 0.5], global_scale = [0.5, 1.0] }";
        let ViewMode::Crops(crop) = ready(&[given]).sees else {
            panic!("there are crops");
        };
        let expected = MultiCrop {
            globals: 3,
            locals: 1,
            local_size: [5, 5],
            global_scale: [0.5, 1.0],
            local_scale: [0.1, 0.5],
        };
        assert_eq!(crop, expected);
        assert!(matches!(
            ready(&["strategy.kind=dino"]).sees,
            ViewMode::Views(4)
        ));
    }

    #[test]
    fn the_average_teaches_in_training_mode_unless_told_otherwise() {
        assert!(
            ready(&["strategy.kind=dino"])
                .distiller
                .teacher
                .training_mode
        );
        let told = "strategy={ kind = 'dino', training_mode = false }";
        assert!(!ready(&[told]).distiller.teacher.training_mode);
    }

    #[test]
    fn crops_that_cannot_be_are_refused() {
        for (changes, expected) in [
            (
                vec!["strategy={ kind = 'dino', local_crops = 65 }"],
                "`strategy.local_crops` should be from 0 to 64, but is 65",
            ),
            (
                vec!["strategy={ kind = 'dino', local_crops = 2, local_size = 8 }"],
                "a local crop of 8 by 8 pixels is not smaller than the image of 8 by 8",
            ),
            (
                vec!["strategy={ kind = 'dino', local_crops = 2, local_size = 0 }"],
                "a local crop of 0 by 0 pixels is not smaller",
            ),
            (
                vec!["strategy={ kind = 'dino', local_crops = 2, local_scale = [0.4, 0.05] }"],
                "the local scale goes from 0.4 to 0.05",
            ),
            (
                vec!["strategy={ kind = 'dino', local_size = 4 }"],
                "`strategy.local_size` is of local crops, and there are none",
            ),
            (
                vec!["strategy={ kind = 'dino', local_crops = 2, views = 0 }"],
                "`strategy.views` should be from 1 to 64, but is 0",
            ),
            (
                vec![
                    "strategy={ kind = 'dino', local_crops = 2 }",
                    "student.model=mlp-8",
                ],
                "`strategy.local_crops` is 2, but mlp-8 takes images of one size",
            ),
            (
                vec![
                    "strategy={ kind = 'dino', local_crops = 2 }",
                    "data.augmentation={ crop = 1 }",
                ],
                "leave out `crop`",
            ),
            (
                vec!["strategy={ kind = 'dino', weight_decay = -0.1 }"],
                "`strategy.weight_decay` should be finite and not negative, but comes to -0.1",
            ),
            (
                vec![
                    "strategy={ kind = 'dino', weight_decay = { kind = 'cosine', from = 0.04, \
                     to = -0.4, epochs = 10 } }",
                ],
                "but comes to -0.4 at epoch 11",
            ),
        ] {
            let error = error(RECIPE, &changes);
            assert!(error.contains(expected), "{changes:?}: {error}");
        }
    }
}
