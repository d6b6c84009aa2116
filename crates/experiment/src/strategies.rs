//! The student, taught by a strategy without a teacher that is trained before.

use super::data::{Data, Loader};
use super::experiment::{Experiment, Progress, Renderer, Trained};
use super::phase::Phase;
use super::role::Role;
use anyhow::Result;
use burn_distill::strategy::Distiller;
use burn_distill_recipe::{
    AnyInput, Configured, Notices, Ready, Recipe, Sees, Setting, StrategyRecipe, TfKdVariant,
    TrainingRecipe,
};

/// Where the strategy of a recipe is set up, with the data.
pub(super) fn setting<'a>(recipe: &'a Recipe, data: &Data, seed: u64) -> Result<Setting<'a>> {
    let training = &recipe.student.training;
    Ok(Setting {
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
        alone: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let setting = self.setting(seed)?;
        match &self.recipe.strategy {
            StrategyRecipe::Offline {} => unreachable!("it has a teacher"),
            StrategyRecipe::Mutual(options) => {
                self.taught_by_itself(seed, setting.mutual(options)?, renderer)
            }
            StrategyRecipe::AdversarialFeatures(options) => {
                self.taught_by_itself(seed, setting.adversarial_features(options)?, renderer)
            }
            StrategyRecipe::Collaborative(options) => {
                self.taught_by_itself(seed, setting.collaborative(options)?, renderer)
            }
            StrategyRecipe::NativeEnsemble(options) => {
                self.taught_by_itself(seed, setting.native_ensemble(options)?, renderer)
            }
            StrategyRecipe::GroupLeader(options) => {
                self.taught_by_itself(seed, setting.group_leader(options)?, renderer)
            }
            StrategyRecipe::Codistillation(options) => {
                self.taught_by_itself(seed, setting.codistillation(options)?, renderer)
            }
            StrategyRecipe::Byot(options) => {
                self.taught_by_itself(seed, setting.exits(options)?, renderer)
            }
            StrategyRecipe::SdDropout(Configured(config)) => {
                self.taught_by_itself(seed, setting.dropout(config)?, renderer)
            }
            StrategyRecipe::Dlb(_) => self.taught_by_itself(seed, setting.last_batch()?, renderer),
            StrategyRecipe::Dino(options) => {
                self.pretrained_and_trained(&setting, options, renderer)
            }
            StrategyRecipe::TfKd(options) => match options.variant {
                TfKdVariant::Copy => self.distilled(seed, alone, renderer),
                TfKdVariant::Virtual => {
                    self.taught_by_itself(seed, setting.teacher_free()?, renderer)
                }
            },
            StrategyRecipe::CsKd(_) => self.taught_by_itself(seed, setting.same_class()?, renderer),
            StrategyRecipe::PsKd(_) => {
                self.taught_by_itself(seed, setting.past_predictions()?, renderer)
            }
            StrategyRecipe::MeanTeacher(options) => {
                self.taught_by_itself(seed, setting.mean_teacher(options)?, renderer)
            }
            StrategyRecipe::BornAgain(options) => {
                self.born_again(&setting, options, alone, renderer)
            }
        }
    }

    /// Returns what the student learns from by its strategy.
    pub(super) fn for_taught(&self, training: &TrainingRecipe, seed: u64) -> Result<Loader> {
        let loader = self.data.for_taught(training, seed)?;
        let strategy = &self.recipe.strategy;
        Ok(
            match self.data.labeled_per_batch(strategy, training, seed)? {
                0 => loader,
                labeled => loader.labeled_per_batch(labeled),
            },
        )
    }

    fn setting(&self, seed: u64) -> Result<Setting<'_>> {
        Ok(Setting {
            notices: self.notices_of(seed),
            ..setting(self.recipe, self.data, seed)?
        })
    }

    fn taught_by_itself<M: Distiller<AnyInput>>(
        &self,
        seed: u64,
        ready: Ready<M>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let training = &self.recipe.student.training;
        self.train_ready(Role::Distilled, seed, training, ready, renderer)
    }

    /// Train what is set up.
    pub(super) fn train_ready<M: Distiller<AnyInput>>(
        &self,
        role: Role,
        seed: u64,
        training: &TrainingRecipe,
        ready: Ready<M>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let loader = self.for_taught(training, seed)?;
        let loader = match ready.sees {
            Sees::Views(views) => loader.views(views),
            Sees::Pairs => loader.pairs(seed),
            Sees::Crops(crop) => loader.multi_crop(crop),
        };
        self.train(Phase {
            role,
            seed,
            model: &self.recipe.student.model,
            training,
            loader,
            teacher: None,
            figures: ready.figures,
            snapshots: Vec::new(),
            distiller: ready.distiller,
            outcome: ready.outcome,
            renderer,
        })
    }
}
