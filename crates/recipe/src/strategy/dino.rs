//! Views without labels, before the student knows some.

use super::options::DinoRecipe;
use super::setting::{Outcome, Ready, Sees, Setting};
use crate::configure::configure;
use crate::fault::{Fault, Place};
use crate::input::AnyNetwork;
use crate::memory::{fits, trained};
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{ChangingWeight, Clock, Tap, known_taps};
use burn_distill::data::MultiCrop;
use burn_distill::strategy::{
    DinoDistiller, DinoHeadConfig, DinoNetwork, DinoObjective, Figure, MeanTeacher,
};

/// The hidden size of a head for each feature that it sees, up to that of the authors: theirs for
/// the features of a ResNet-20.
const HIDDEN_PER_FEATURE: usize = 32;
/// The size of the bottleneck for each feature, likewise.
const BOTTLENECK_PER_FEATURE: usize = 4;

/// The student with a head, and its average.
pub type Dino = DinoDistiller<Headed, MeanTeacher<Headed>, DinoObjective>;

type Headed = DinoNetwork<AnyNetwork>;

impl Setting<'_> {
    /// What is trained without labels: the average is what the student goes on from.
    pub fn dino(&self, options: &DinoRecipe) -> Result<Ready<Dino>> {
        let sees = self.dino_views(options)?;
        ensure!(
            self.recipe.losses.is_empty(),
            "there is a [[loss]], but views are compared by prototypes, and labels are learnt as \
             without a strategy: leave it out"
        );
        let epochs = self.dino_epochs(options);
        if let Some(schedule) = &options.weight_decay {
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
        let student = self.student()?;
        let (head, objective) = (self.dino_head(options, &student)?, &options.objective.0);
        let distiller = self.draw(|| {
            let student = head.init_network(student, &options.tap);
            let decay = ChangingWeight::Cosine {
                from: options.decay,
                to: 1.0,
                epochs,
            };
            let teacher = MeanTeacher::new(&student, decay)
                .with_warm_up(false)
                .with_training_mode(options.training_mode);
            let objective = objective.init(head.d_output, 1.0, &Device::flex());
            let distiller = DinoDistiller::new(student, teacher, objective);
            match &options.weight_decay {
                Some(schedule) => distiller.with_weight_decay(schedule.clone()),
                None => distiller,
            }
        })?;
        let plain = self.student()?;
        Ok(Ready {
            distiller,
            sees,
            figures: vec![
                Figure::Loss,
                Figure::Agreement,
                Figure::Term(DinoObjective::TERM.into()),
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

    /// The head: what the recipe does not give is the authors', but no larger than the student and
    /// its samples are worth.
    pub fn dino_head(&self, options: &DinoRecipe, student: &AnyNetwork) -> Result<DinoHeadConfig> {
        let features = known_taps(student);
        let features = features.get(&options.tap).at("strategy.tap")?;
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
        let samples = self.samples.len();
        let default = DinoHeadConfig::new()
            .with_d_output(authors.d_output.min(samples))
            .with_d_hidden(authors.d_hidden.min(HIDDEN_PER_FEATURE * features))
            .with_d_bottleneck(authors.d_bottleneck.min(BOTTLENECK_PER_FEATURE * features));
        let head = configure(&default, &options.head, &[]).at("strategy.head")?;
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
    fn dino_views(&self, options: &DinoRecipe) -> Result<Sees> {
        let least = if options.local_crops > 0 { 1 } else { 2 };
        let default = if options.local_crops > 0 { 2 } else { 4 };
        let views = options.views.unwrap_or(default);
        ensure!(
            (least..=64).contains(&views),
            "`strategy.views` should be from {least} to 64, but is {views}"
        );
        if options.local_crops == 0 {
            for (key, given) in [
                ("local_size", options.local_size.is_some()),
                ("local_scale", options.local_scale.is_some()),
                ("global_scale", options.global_scale.is_some()),
            ] {
                ensure!(
                    !given,
                    "`strategy.{key}` is of local crops, and there are none: give \
                     `strategy.local_crops`, which is 0, or leave it out"
                );
            }
            return Ok(Sees::Views(views));
        }

        let architecture = self.recipe.registry.network(self.model())?;
        ensure!(
            architecture.takes_several_sizes(),
            "`strategy.local_crops` is {}, but {} takes images of one size: take a network of \
             convolutions as `student.model`, or leave it out",
            options.local_crops,
            self.model()
        );
        let shape = self.task.image()?;
        let defaults = MultiCrop::new(shape);
        let crop = MultiCrop {
            globals: views,
            locals: options.local_crops,
            local_size: match options.local_size {
                Some(size) => [size; 2],
                None => defaults.local_size,
            },
            global_scale: options.global_scale.unwrap_or(defaults.global_scale),
            local_scale: options.local_scale.unwrap_or(defaults.local_scale),
        };
        crop.check(shape).context("strategy")?;
        let augmentation = &self.recipe.data.augmentation;
        augmentation
            .check_multi_crop()
            .context("data.augmentation")?;
        Ok(Sees::Crops(crop))
    }

    /// The epochs without labels.
    pub fn dino_epochs(&self, options: &DinoRecipe) -> usize {
        options
            .epochs
            .unwrap_or(self.recipe.student.training.epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StrategyRecipe;
    use crate::read::tests::error;
    use crate::strategy::tests::{RECIPE, changed};

    fn ready(changes: &[&str]) -> Ready<Dino> {
        let recipe = changed(changes);
        let StrategyRecipe::Dino(options) = &recipe.strategy else {
            panic!("{:?}", recipe.strategy);
        };
        Setting::to_check(&recipe).unwrap().dino(options).unwrap()
    }

    #[test]
    fn local_crops_come_beside_two_large_views() {
        let sees = ready(&["strategy={ kind = 'dino', local_crops = 6 }"]).sees;
        let Sees::Crops(crop) = sees else {
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
        let Sees::Crops(crop) = ready(&[given]).sees else {
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
            Sees::Views(4)
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
