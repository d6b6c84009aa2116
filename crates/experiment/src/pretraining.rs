//! A student that is trained without labels first.

use super::experiment::{Experiment, Progress, Renderer, Trained, or_stopped};
use super::phase::Phase;
use super::role::Role;
use anyhow::Result;
use burn_distill::core::CrossEntropyObjective;
use burn_distill::strategy::{MetricKind, OfflineDistiller};
use burn_distill_recipe::{Pretraining, TrainingRecipe};

impl Experiment<'_> {
    /// Trains the student without labels, and then like the baseline.
    pub(super) fn pretrained_and_trained(
        &self,
        seed: u64,
        pretraining: Pretraining,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let recipe = &self.recipe.student;
        let optimizer = recipe.training.optimizer.clone();
        let training = TrainingRecipe {
            epochs: pretraining.epochs,
            optimizer: match pretraining.decays_weights {
                true => optimizer.without_weight_decay(),
                false => optimizer,
            },
            // Without predictions there is no accuracy.
            patience: None,
            ..recipe.training.clone()
        };
        let pretrained = or_stopped!(self.train_prepared(
            Role::Pretrained,
            seed,
            &training,
            pretraining.training,
            renderer
        )?);

        let trained = or_stopped!(
            self.train(Phase {
                role: Role::Distilled,
                seed,
                model: &recipe.model,
                training: &recipe.training,
                loaders: self
                    .data
                    .loaders(self.data.for_baseline(&recipe.training, seed)?),
                teacher: Some(self.identity_of(Role::Pretrained, seed)?),
                metrics: vec![MetricKind::Loss, MetricKind::Accuracy],
                snapshots: Vec::new(),
                best_epoch: false,
                distiller: OfflineDistiller::without_teacher(
                    pretrained.network,
                    CrossEntropyObjective::new(1.0)
                ),
                finalize: Box::new(|distiller| Ok(distiller.student.into())),
                renderer,
            })?
        );
        Ok(Progress::Done(Trained {
            seconds: pretrained.seconds + trained.seconds,
            ..trained
        }))
    }
}
