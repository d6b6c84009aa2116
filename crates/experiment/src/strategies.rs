//! The student, distilled by a strategy without a `[teacher]`.

use super::data::Loader;
use super::experiment::{Experiment, Progress, Renderer, Trained};
use super::phase::Phase;
use super::role::Role;
use super::strategy_context::strategy_context;
use anyhow::Result;
use burn_distill::strategy::DynDistiller;
use burn_distill_recipe::{AnyInput, Prepared, PreparedStrategy, TrainingRecipe, ViewMode};

impl Experiment<'_> {
    /// Trains the student by the strategy of the recipe.
    pub(super) fn distilled_by_strategy(
        &self,
        seed: u64,
        baseline: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let notices = self.notices_of(seed);
        let context = strategy_context(self.recipe, self.data, seed, notices)?;
        let training = &self.recipe.student.training;
        let prepared = match self.checked.take(seed) {
            Some(prepared) => prepared,
            None => self.recipe.strategy.options().prepare(&context)?,
        };
        match prepared {
            Prepared::Training(prepared) => {
                self.train_prepared(Role::Distilled, seed, training, prepared, renderer)
            }
            Prepared::Pretraining(pretraining) => {
                self.pretrained_and_trained(seed, pretraining, renderer)
            }
            Prepared::Generations(generations) => {
                self.born_again(&context, &generations, baseline, renderer)
            }
            Prepared::TrainedTeacher => self.distilled(seed, baseline, renderer),
        }
    }

    /// Returns the samples that the student is distilled on by its strategy.
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

    /// Trains a prepared strategy.
    pub(super) fn train_prepared(
        &self,
        role: Role,
        seed: u64,
        training: &TrainingRecipe,
        prepared: PreparedStrategy<DynDistiller<AnyInput>>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let loader = self.for_distilled(training, seed)?;
        let loader = match prepared.views {
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
            metrics: prepared.metrics,
            snapshots: Vec::new(),
            best_epoch: false,
            distiller: prepared.distiller,
            finalize: prepared.finalize,
            renderer,
        })
    }
}
