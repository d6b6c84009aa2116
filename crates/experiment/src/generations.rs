//! Generations of students, each distilled from the one before it.

use super::diverged::Subject;
use super::experiment::{Experiment, Progress, Renderer, Trained, TrainedMember, or_stopped};
use super::phase::Phase;
use super::role::Role;
use super::weights;
use anyhow::Result;
use burn::module::Module;
use burn_distill::core::Frozen;
use burn_distill::strategy::OfflineDistiller;
use burn_distill_recipe::{Generations, StrategyContext, mean_of_networks, metrics_of_distilled};

impl Experiment<'_> {
    /// Trains several generations, the first of which is distilled from the baseline, and returns
    /// the last one.
    pub(super) fn born_again(
        &self,
        context: &StrategyContext,
        plan: &Generations,
        baseline: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let mut generations = Vec::with_capacity(plan.count);
        let mut teacher = (Role::Baseline, baseline.network.clone());
        for number in 1..=plan.count {
            let role = match number == plan.count {
                true => Role::Distilled,
                false => Role::Generation(number),
            };
            let generation =
                or_stopped!(self.generation((context, plan), number, role, &teacher, renderer)?);
            teacher = (role, generation.network.clone());
            generations.push(generation);
        }

        let ensemble = (generations.len() > 1).then(|| {
            let networks = generations.iter();
            mean_of_networks(
                networks
                    .map(|generation| generation.network.valid())
                    .collect(),
            )
        });
        let seconds = generations
            .iter()
            .map(|generation| generation.seconds)
            .sum();
        let mut distilled = generations.pop().expect("there is a generation at least");
        distilled.seconds = seconds;
        let model = &self.recipe.student.model;
        let earlier = (1..)
            .zip(generations)
            .map(|(number, trained)| TrainedMember {
                name: format!("generation {number}"),
                model: model.to_string(),
                trained,
            });
        distilled.members.extend(earlier);
        if let Some(ensemble) = ensemble {
            let folder = self.phase_folder(Role::Distilled, context.seed);
            let file = folder.join(ensemble.file());
            let origin = self
                .data
                .provenance(&ensemble.model, &ensemble.name, context.seed);
            weights::save(&ensemble.network, &origin, &file)?;
            let subject = Subject::named(&ensemble.name, context.seed);
            distilled.members.push(TrainedMember {
                trained: self.evaluate(&subject, ensemble.network, &file, seconds)?,
                name: ensemble.name,
                model: ensemble.model,
            });
        }
        Ok(Progress::Done(distilled))
    }

    fn generation(
        &self,
        (context, plan): (&StrategyContext, &Generations),
        number: usize,
        role: Role,
        (teacher_role, teacher): &(Role, burn_distill_recipe::AnyNetwork),
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let (recipe, seed) = (&self.recipe.student, context.seed);
        // Each generation begins from other random weights.
        let student = context.beside(&recipe.model, number)?;
        let on_cpu = teacher.valid().to_device(&burn::tensor::Device::flex());
        let (terms, objective) = (plan.objective)(context, number, &student, &on_cpu)?;
        self.train(Phase {
            role,
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loaders: self
                .data
                .loaders(self.data.for_stage(&recipe.training, seed, number)?),
            teacher: Some(self.identity_of(*teacher_role, seed)?),
            metrics: metrics_of_distilled(&terms),
            snapshots: Vec::new(),
            best_epoch: false,
            distiller: OfflineDistiller::new(
                student,
                Frozen::new(teacher.clone()).with_training_mode(plan.training_mode),
                objective,
            ),
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }
}
