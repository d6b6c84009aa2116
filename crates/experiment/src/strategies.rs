//! The student, taught by a strategy without a teacher that is trained before.

use super::data::{Data, Loader};
use super::experiment::{Experiment, Progress, Renderer, Trained};
use super::phase::Phase;
use super::role::Role;
use anyhow::Result;
use burn_distill::strategy::DynDistiller;
use burn_distill_recipe::{
    AnyInput, Notices, Prepared, PreparedStrategy, Recipe, StrategyContext, TrainingRecipe,
    ViewMode,
};

/// Where the strategy of a recipe is set up, with the data.
pub(super) fn context<'a>(
    recipe: &'a Recipe,
    data: &Data,
    seed: u64,
) -> Result<StrategyContext<'a>> {
    let training = &recipe.student.training;
    Ok(StrategyContext {
        recipe,
        task: data.task(),
        seed,
        samples: data.known_classes(seed)?,
        inputs: Some(data.first_inputs(training, seed)?),
        notices: Notices::default(),
    })
}

impl Experiment<'_> {
    /// The student, taught as the strategy of the recipe says.
    pub(super) fn distilled_by_strategy(
        &self,
        seed: u64,
        baseline: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let context = self.context(seed)?;
        let training = &self.recipe.student.training;
        match self.recipe.strategy.options().prepare(&context)? {
            Prepared::Training(ready) => {
                self.train_ready(Role::Distilled, seed, training, ready, renderer)
            }
            Prepared::Pretraining(pretraining) => {
                self.pretrained_and_trained(seed, pretraining, renderer)
            }
            Prepared::Generations(generations) => {
                self.born_again(&context, &generations, baseline, renderer)
            }
            Prepared::ByTeacher => self.distilled(seed, baseline, renderer),
        }
    }

    /// Returns what the student learns from by its strategy.
    pub(super) fn for_distilled(&self, training: &TrainingRecipe, seed: u64) -> Result<Loader> {
        let loader = self.data.for_distilled(training, seed)?;
        let strategy = self.recipe.strategy.options();
        Ok(
            match self.data.labeled_per_batch(strategy, training, seed)? {
                0 => loader,
                labeled => loader.labeled_per_batch(labeled),
            },
        )
    }

    fn context(&self, seed: u64) -> Result<StrategyContext<'_>> {
        Ok(StrategyContext {
            notices: self.notices_of(seed),
            ..context(self.recipe, self.data, seed)?
        })
    }

    /// Trains what is set up.
    pub(super) fn train_ready(
        &self,
        role: Role,
        seed: u64,
        training: &TrainingRecipe,
        ready: PreparedStrategy<DynDistiller<AnyInput>>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let loader = self.for_distilled(training, seed)?;
        let loader = match ready.sees {
            ViewMode::Views(views) => loader.views(views),
            ViewMode::Pairs => loader.pairs(seed),
            ViewMode::Crops(crop) => loader.multi_crop(crop),
        };
        self.train(Phase {
            role,
            seed,
            model: &self.recipe.student.model,
            training,
            loader,
            teacher: None,
            metrics: ready.metrics,
            snapshots: Vec::new(),
            distiller: ready.distiller,
            outcome: ready.outcome,
            renderer,
        })
    }
}
