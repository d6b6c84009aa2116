//! The student, distilled by a strategy other than that of a `[teacher]` on the data.

use super::experiment::{Experiment, Progress, Renderer, Trained, measured};
use super::phase::Phase;
use super::role::Role;
use super::strategy_context::strategy_context;
use super::training_batches::{Loader, TrainingBatches};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::strategy::{DynDistiller, PseudoBatches};
use burn_distill_recipe::{
    AnyInput, AnyNetwork, Prepared, PreparedStrategy, StrategyContext, TrainingRecipe, ViewMode,
    WithoutData, prepare_without_data,
};

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
            Prepared::Tasks(tasks) => self.learned_in_tasks(seed, tasks, renderer),
            Prepared::TrainedTeacher => self.distilled(seed, baseline, renderer),
        }
    }

    /// Trains the student by a strategy without data, from its trained teacher.
    pub(super) fn distilled_without_data(
        &self,
        seed: u64,
        teacher: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let strategy = &self.recipe.strategy;
        let without_data = strategy.options().without_data();
        let batches = without_data.map(WithoutData::pseudo_batches);
        let batches = batches.context("the strategy is one with data")?;
        let context = StrategyContext {
            task: self.data.task(),
            seed,
            notices: self.notices_of(seed),
            ..self.recipe.context_without_data()?
        };
        // Copies: moving a network also moves its running statistics.
        let on_cpu = |network: &AnyNetwork| network.valid().to_device(&Device::flex());
        let student = self.student(seed, &teacher.network)?;
        let networks = (student.to_device(&Device::flex()), on_cpu(&teacher.network));
        let prepared = prepare_without_data(strategy, &context, networks)?;
        self.train(Phase {
            role: Role::Distilled,
            seed,
            model: &self.recipe.student.model,
            training: &self.recipe.student.training,
            loaders: self
                .data
                .loaders(TrainingBatches::Pseudo(PseudoBatches::new(batches))),
            teacher: Some(self.teacher_identity(seed)?),
            metrics: measured(prepared.metrics, self.data),
            snapshots: Vec::new(),
            best_epoch: false,
            distiller: prepared.distiller,
            finalize: prepared.finalize,
            renderer,
        })
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
            loaders: self.data.loaders(loader),
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
