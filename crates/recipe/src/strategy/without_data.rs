//! Parts that strategies without data have in common: a trained `[teacher]`, and a generator of images.

use super::context::{PreparedStrategy, StrategyContext, ViewMode, metrics_of_distilled};
use crate::fault::Place;
use crate::input::{AnyInput, AnyNetwork};
use crate::memory::{NUMBER, fits, trained};
use anyhow::Result;
use burn::tensor::Device;
use burn_distill::architecture::ImageGeneratorConfig;
use burn_distill::core::{ChangingWeight, Check, ConfigError, WeightSchedule, check};
use burn_distill::strategy::{
    DataFreeDistillerConfig, DynDistiller, GeneratorObjective, MetricKind,
};
use serde::{Deserialize, Serialize};

/// Options of a strategy whose student learns from the trained `[teacher]` without seeing a sample.
/// The data of the recipe serves to train the teacher and the baseline, and to evaluate.
pub trait WithoutData {
    /// Returns the number of pseudo batches in an epoch of the student.
    fn pseudo_batches(&self) -> usize;

    /// Prepares the training of the student by its teacher, both on the CPU.
    ///
    /// # Errors
    ///
    /// Returns an error if the options do not fit the recipe.
    fn prepare(
        &self,
        context: &StrategyContext,
        student: AnyNetwork,
        teacher: AnyNetwork,
    ) -> Result<PreparedStrategy<DynDistiller<AnyInput>>>;
}

/// `generator`: the network that makes the images, and its learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorRecipe {
    /// Number of random numbers of which an image is made.
    pub latents: usize,
    /// Number of channels of the first maps.
    pub width: usize,
    /// Learning rate of its Adam, constant or over the training. Default: that of the strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<WeightSchedule>,
}

impl Default for GeneratorRecipe {
    fn default() -> Self {
        let defaults = ImageGeneratorConfig::new([1, 1, 1]);
        Self {
            latents: defaults.latents,
            width: defaults.width,
            learning_rate: None,
        }
    }
}

impl Check for GeneratorRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        self.of([1, 1, 1]).check()?;
        match &self.learning_rate {
            Some(rate) => rate.check().map_err(|error| error.under("learning_rate")),
            None => Ok(()),
        }
    }
}

impl GeneratorRecipe {
    /// Returns the configuration of a generator of images of this shape.
    pub fn of(&self, image: [usize; 3]) -> ImageGeneratorConfig {
        ImageGeneratorConfig::new(image)
            .with_latents(self.latents)
            .with_width(self.width)
    }
}

/// Checks the number of pseudo batches in an epoch.
pub fn check_pseudo_batches(batches: usize) -> Result<(), ConfigError> {
    check::count_in("pseudo_batches", batches, 1..=1_000_000)
}

/// Returns a learning rate that falls to zero by a cosine over the training of the student.
pub fn cosine(from: f64, context: &StrategyContext) -> WeightSchedule {
    WeightSchedule::Changing(ChangingWeight::Cosine {
        from,
        to: 0.0,
        epochs: context.student.training.epochs,
    })
}

/// Prepares the training of a student by its teacher and a generator.
pub fn prepared<C: GeneratorObjective>(
    context: &StrategyContext,
    (student, teacher): (AnyNetwork, AnyNetwork),
    (generator, objective): (ImageGeneratorConfig, C),
    config: DataFreeDistillerConfig,
    terms_of_generator: &[&str],
) -> Result<PreparedStrategy<DynDistiller<AnyInput>>> {
    config.check().at("student.training")?;
    check_memory(&generator, config.batch_size).at("strategy.generator")?;
    let (terms, losses) = context.distilled(&student, &teacher)?;
    let distiller = context.draw(|| {
        let generator = generator.init(&Device::flex());
        config.init((student, teacher), (generator, objective), losses)
    });
    let mut metrics = metrics_of_distilled(&terms);
    metrics.extend(
        terms_of_generator
            .iter()
            .map(|term| MetricKind::Term(format!("generator {term}"))),
    );
    let prepared = PreparedStrategy {
        distiller,
        views: ViewMode::Views(1),
        metrics,
        finalize: Box::new(|distiller| Ok(distiller.student.into())),
    };
    Ok(prepared.erased())
}

/// Checks that a generator and its maps for a batch fit into the memory of this machine.
fn check_memory(generator: &ImageGeneratorConfig, batch_size: usize) -> Result<(), ConfigError> {
    let ImageGeneratorConfig {
        image,
        latents,
        width,
        ..
    } = generator;
    let [channels, rows, columns] = image.map(|size| size as f64);
    let (latents, first) = (*latents as f64, *width as f64);
    let pixels = rows * columns;
    // A quarter of the size, rounded up, in the first maps.
    let linear = latents * first * (rows / 4.0).ceil() * (columns / 4.0).ceil();
    let convolutions = 9.0 * (1.5 * first * first + channels * first / 2.0);
    // The resized, the convolved, the normalized and the activated maps of half of the channels.
    let maps = batch_size as f64 * pixels * (4.0 * first + 2.0 * channels);
    fits("latents", generator.latents, trained(linear))
        .and_then(|()| fits("width", *width, trained(convolutions) + NUMBER * maps))
}

impl StrategyContext<'_> {
    /// Returns the configuration that recipes without data have in common: the batch size of the
    /// student's training, and the seed of the run.
    pub fn config_without_data(&self) -> DataFreeDistillerConfig {
        DataFreeDistillerConfig::new()
            .with_batch_size(self.student.training.batch_size)
            .with_seed(self.seed)
    }

    /// Returns the shape of the images.
    ///
    /// # Errors
    ///
    /// Returns an error if the data holds something else.
    pub fn image(&self) -> Result<[usize; 3]> {
        self.task.input.image().map_err(|_| {
            anyhow::anyhow!(
                "a strategy without data makes images, but `{}` holds {}: take a data set of images",
                self.data.source.name(),
                self.task.input
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::read::tests::{error, recipe};
    use crate::strategy::tests::RECIPE;

    const TEACHER: &str = "teacher={ model = 'convnet-8-16', training = { epochs = 1 } }";

    #[test]
    fn what_does_not_fit_a_student_without_data_is_refused() {
        for kind in ["zero-shot", "data-free"] {
            let strategy = format!("strategy.kind={kind}");
            let refused = |changes: &[&str]| error(RECIPE, &[&[&strategy[..]], changes].concat());

            assert!(
                refused(&[]).contains("`teacher` is missing: with `"),
                "{}",
                refused(&[])
            );
            for (changes, expected) in [
                (
                    [
                        "teacher={ model = 'convnet-8-16', training = { epochs = 1 }, others = \
                         [{ model = 'convnet-8-16', training = { epochs = 1 } }] }",
                        "seeds=[0]",
                    ],
                    "is for one teacher: leave out `teacher.others`",
                ),
                (
                    [TEACHER, "tasks.count=2"],
                    "[tasks] is for a [strategy] that learns tasks one after another",
                ),
                (
                    [TEACHER, "teacher.training_mode=true"],
                    "leave out `teacher.training_mode`",
                ),
                (
                    [
                        TEACHER,
                        "loss=[{ kind = 'kd' }, { kind = 'cross-entropy' }]",
                    ],
                    "`loss.1` needs labels, but with the strategy",
                ),
                (
                    [TEACHER, "loss=[{ kind = 'kd', views = 2 }]"],
                    "is of 2 views",
                ),
                (
                    [TEACHER, "loss=[{ kind = 'sim-kd' }]"],
                    "has a preparation before the training, or changes the student",
                ),
                ([TEACHER, "loss=[{ kind = 'contrastive' }]"], "loss.0"),
                (
                    [TEACHER, "student.training.batch_size=1"],
                    "`student.training.batch_size` should be from 2 to 65536, but is 1",
                ),
                (
                    [TEACHER, "strategy.pseudo_batches=0"],
                    "`strategy.pseudo_batches` should be from 1 to 1000000, but is 0",
                ),
                (
                    [TEACHER, "strategy.generator={ width = 1 }"],
                    "`strategy.generator.width` should be from 2 to 65536, but is 1",
                ),
                (
                    [TEACHER, "strategy.generator={ width = 65536 }"],
                    "`strategy.generator.width` should be smaller: it needs about",
                ),
                (
                    [TEACHER, "strategy.generator={ learning_rate = -1 }"],
                    "strategy.generator.learning_rate",
                ),
            ] {
                let error = refused(&changes);
                assert!(error.contains(expected), "{kind}: {error}");
            }
        }
    }

    #[test]
    fn options_of_one_method_are_refused_with_their_key() {
        for (strategy, expected) in [
            (
                "strategy={ kind = 'zskt', student_steps = 0 }",
                "`strategy.student_steps` should be from 1 to 65536, but is 0",
            ),
            (
                "strategy={ kind = 'zskt', clip_norm = 0 }",
                "`strategy.clip_norm` should be finite and above 0, but is 0",
            ),
            (
                "strategy={ kind = 'dafl', objective = { tap = 'poll' } }",
                "did you mean `pool`?",
            ),
            (
                "strategy={ kind = 'dafl', objective = { one_hot = -1 } }",
                "strategy.objective.one_hot",
            ),
        ] {
            let error = error(RECIPE, &[strategy, TEACHER]);
            assert!(error.contains(expected), "{strategy}: {error}");
        }
        // A perceptron has no maps for the attention.
        let strategy = "strategy.kind=zskt";
        let perceptron = [strategy, TEACHER, "student.model=mlp-8"];
        error(RECIPE, &perceptron);
        let without = "strategy.attention=0";
        recipe(RECIPE, &[&perceptron[..], &[without]].concat()).unwrap();
    }

    #[test]
    fn a_schedule_of_the_generator_is_read() {
        let rate = "strategy.generator={ learning_rate = { kind = 'linear', from = 1e-3, to = 0, \
            epochs = 3 } }";
        recipe(RECIPE, &["strategy.kind=dafl", TEACHER, rate]).unwrap();
    }
}
