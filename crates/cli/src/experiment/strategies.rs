//! The student, taught by a strategy without a teacher that is trained before.

use super::phase::{Phase, Role};
use super::repetition::{Experiment, Progress, Renderer, Trained};
use crate::recipe::{Ready, Sees, Setting, StrategyRecipe};
use anyhow::Result;
use burn::tensor::Tensor;
use burn_distill::strategy::Distiller;

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
                self.train_ready(seed, setting.mutual(options)?, renderer)
            }
            StrategyRecipe::Collaborative(options) => {
                self.train_ready(seed, setting.collaborative(options)?, renderer)
            }
            StrategyRecipe::NativeEnsemble(options) => {
                self.train_ready(seed, setting.native_ensemble(options)?, renderer)
            }
            StrategyRecipe::GroupLeader(options) => {
                self.train_ready(seed, setting.group_leader(options)?, renderer)
            }
            StrategyRecipe::Codistillation(options) => {
                self.train_ready(seed, setting.codistillation(options)?, renderer)
            }
            StrategyRecipe::TfKd(_) => self.distilled(seed, alone, renderer),
            StrategyRecipe::CsKd(_) => self.train_ready(seed, setting.same_class()?, renderer),
            StrategyRecipe::PsKd(_) => {
                self.train_ready(seed, setting.past_predictions()?, renderer)
            }
            StrategyRecipe::MeanTeacher(options) => {
                self.train_ready(seed, setting.mean_teacher(options)?, renderer)
            }
            StrategyRecipe::BornAgain(options) => {
                self.born_again(&setting, options, alone, renderer)
            }
        }
    }

    fn setting(&self, seed: u64) -> Result<Setting<'_>> {
        let training = &self.recipe.student.training;
        Ok(Setting {
            recipe: self.recipe,
            shape: self.data.shape(),
            classes: self.data.num_classes(),
            seed,
            samples: self.data.known_classes(seed)?,
            images: Some(self.data.first_images(training, seed)?),
        })
    }

    fn train_ready<M: Distiller<Tensor<4>>>(
        &self,
        seed: u64,
        ready: Ready<M>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let recipe = &self.recipe.student;
        let loader = self.data.for_taught(&recipe.training, seed)?;
        let loader = match ready.sees {
            Sees::Views(views) => loader.views(views),
            Sees::Pairs => loader.pairs(seed),
        };
        self.train(Phase {
            role: Role::Distilled,
            seed,
            model: &recipe.model,
            training: &recipe.training,
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
