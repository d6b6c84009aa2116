//! Distillation between views without labels, before the training on labels.

use super::by_itself::TEACHES_ITSELF;
use super::context::{Outcome, PreparedStrategy, StrategyContext, ViewMode};
use super::prepared::Pretraining;
use super::{Configured, Prepared, Strategy, StrategyEntry, checks};
use crate::configure::configure;
use crate::fault::{Fault, Place};
use crate::input::AnyNetwork;
use crate::memory::{fits, trained};
use crate::numbers::{MOST_EPOCHS, MOST_VIEWS};
use crate::parts::StudentRecipe;
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

/// Hidden size of a head per input feature, up to that of the authors: theirs for the features of a
/// ResNet-20.
const HIDDEN_PER_FEATURE: usize = 32;
/// Size of the bottleneck per input feature, likewise.
const BOTTLENECK_PER_FEATURE: usize = 4;

/// `kind = "dino"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DinoRecipe {
    /// Number of views of each sample at full size for the student; the average takes the first
    /// two. Default: 4, and 2 with local crops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<usize>,
    /// Number of small crops of each sample, for the student only. The views at full size are then
    /// resized random crops too.
    pub local_crops: usize,
    /// Height and width of a local crop in pixels. Default: 3/7 of those of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_size: Option<usize>,
    /// Smallest and largest fraction of the image in a crop at full size, with local crops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_scale: Option<[f64; 2]>,
    /// Smallest and largest fraction of the image in a local crop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_scale: Option<[f64; 2]>,
    /// Number of epochs without labels. Default: the number of epochs with labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Decay of the moving average at first; 1 in the end.
    pub decay: f64,
    /// Whether the outputs of the average are computed in training mode, as in the authors' code.
    pub training_mode: bool,
    /// Decoupled weight decay over the epochs without labels, in place of that of the optimizer. It
    /// is not applied to biases and other one-dimensional parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<WeightSchedule>,
    /// Tap of the student that is the input of the head.
    pub tap: String,
    /// Options of the head. Sizes that are not given depend on the student.
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
    /// Sets up the training without labels, after which the student continues from the average.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Dino>> {
        let views = self.view_mode(context)?;
        ensure!(
            context.losses.is_empty(),
            "there is a [[loss]], but the loss between views is that of `strategy.objective`, and the \
             training on labels has the cross-entropy: leave it out"
        );
        let epochs = self.epochs(context.student);
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
        let student = context.student_network()?;
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
        let plain = context.student_network()?;
        Ok(PreparedStrategy {
            distiller,
            views,
            metrics: vec![
                MetricKind::Loss,
                MetricKind::Agreement,
                MetricKind::Term(DinoObjective::TERM.into()),
            ],
            finalize: Box::new(move |distiller| {
                let average = distiller.teacher.average.inner();
                // Into a network that trains: the average does not.
                let record = average.backbone.valid().into_record();
                let student: AnyNetwork = plain.try_load_record(record)?;
                Ok(Outcome::from(student))
            }),
        })
    }

    /// Returns the configuration of the head. Sizes that the recipe does not give are those of the
    /// authors, but no larger than the features of the student and the number of samples call for.
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

    /// Returns the views of each sample, after a check that the student takes them.
    fn view_mode(&self, context: &StrategyContext) -> Result<ViewMode> {
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

        let architecture = context.networks.get(context.model())?;
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
        let augmentation = &context.data.augmentation;
        augmentation
            .check_multi_crop()
            .context("data.augmentation")?;
        Ok(ViewMode::Crops(crop))
    }

    /// Returns the number of epochs without labels.
    pub fn epochs(&self, student: &StudentRecipe) -> usize {
        self.epochs.unwrap_or(student.training.epochs)
    }
}

impl Strategy for DinoRecipe {
    fn description(&self) -> &'static str {
        TEACHES_ITSELF
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::Pretraining(Pretraining {
            training: self.set_up(context)?.erased(),
            epochs: self.epochs(context.student),
            decays_weights: self.weight_decay.is_some(),
        }))
    }

    fn warning(&self, student: &StudentRecipe, _losses: &[Table]) -> Option<String> {
        let epochs = self.epochs(student);
        let warm_up = self.objective.0.warm_up;
        (warm_up > epochs).then(|| {
            format!(
                "in {epochs} epochs the temperature of the average does not rise to its end: \
                 lower `strategy.objective.warm_up`, which is {warm_up}"
            )
        })
    }

    fn uses_several_views(&self) -> bool {
        true
    }

    fn takes_quantized(&self) -> bool {
        false
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

    fn prepared(changes: &[&str]) -> PreparedStrategy<Dino> {
        let recipe = changed(changes);
        let options: &DinoRecipe = options(&recipe);
        options.set_up(&recipe.strategy_context().unwrap()).unwrap()
    }

    #[test]
    fn local_crops_come_beside_two_large_views() {
        let views = prepared(&["strategy={ kind = 'dino', local_crops = 6 }"]).views;
        let ViewMode::Crops(crop) = views else {
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
        let ViewMode::Crops(crop) = prepared(&[given]).views else {
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
            prepared(&["strategy.kind=dino"]).views,
            ViewMode::Views(4)
        ));
    }

    #[test]
    fn the_default_head_is_as_large_as_the_student_and_the_samples_need() {
        let recipe = changed(&["strategy.kind=dino"]);
        let context = recipe.strategy_context().unwrap();
        let student = context.student_network().unwrap();
        let options: &DinoRecipe = options(&recipe);
        let tap = known_taps(&student).expect(&options.tap);
        let features = tap.shape().as_slice()[1];

        let head = options.head(&context, &student).unwrap();

        let authors = DinoHeadConfig::new();
        assert_eq!(head.d_output, context.samples.len());
        assert!(head.d_output < authors.d_output);
        assert_eq!(head.d_hidden, HIDDEN_PER_FEATURE * features);
        assert_eq!(head.d_bottleneck, BOTTLENECK_PER_FEATURE * features);
    }

    #[test]
    fn the_average_is_in_training_mode_by_default() {
        assert!(
            prepared(&["strategy.kind=dino"])
                .distiller
                .teacher
                .training_mode
        );
        let told = "strategy={ kind = 'dino', training_mode = false }";
        assert!(!prepared(&[told]).distiller.teacher.training_mode);
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
