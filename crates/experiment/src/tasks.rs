//! The student, which learns the tasks of the recipe one after another.

use super::diverged::Subject;
use super::experiment::{Experiment, Progress, Renderer, Trained, TrainedTasks};
use super::phase::WEIGHTS;
use super::role::Role;
use super::weights::save;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::architecture::{GrowingNetwork, GrowingNetworkConfig};
use burn_distill::core::Seed;
use burn_distill::strategy::{
    Curriculum, CurriculumError, Stage, TaskError, TaskSamples, TaskSequence,
};
use burn_distill_recipe::{AnyNetwork, TaskTraining, seeded};

impl Experiment<'_> {
    /// Trains the student on one task after another.
    pub(super) fn learned_in_tasks(
        &self,
        seed: u64,
        tasks: TaskTraining,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let role = Role::Distilled;
        let folder = self.phase_folder(role, seed);
        let (model, training) = (&self.recipe.student.model, &self.recipe.student.training);
        let origin = self.data.provenance(model, role.name(), seed);
        let metadata = origin.clone();
        let mut curriculum = Curriculum::open(&folder, self.device)?
            .with_label(format!("seed {seed} {},", role.name()))
            .with_metadata(move |_| metadata.metadata())
            .with_interrupter(self.stop.interrupter())
            .with_renderer(renderer.take());
        let network = GrowingNetworkConfig::new()
            .with_tap(tasks.tap)
            .try_init(self.build(model, seed)?)?;
        let sequence = TaskSequence::new(self.task_samples()?, tasks.plan);

        let learned = sequence.run(
            &mut curriculum,
            network,
            |task, network, classes| self.grown(seed, task, network, classes),
            |_, name| {
                Stage::new(name, training.epochs)
                    .with_optimizer(training.optimizer.clone())
                    .with_learning_rate(training.learning_rate.clone())
                    .with_patience(training.patience)
            },
            |task, samples| self.data.for_task(samples, training, seed, task),
        );
        *renderer = curriculum.renderer().take();
        let subject = Subject::new(role, seed);
        let learned = match learned {
            Ok(learned) => learned,
            Err(TaskError::Curriculum(CurriculumError::Stopped { .. })) => {
                return Ok(Progress::Stopped);
            }
            Err(TaskError::Curriculum(error)) => return Err(subject.stage_error(error)),
            Err(error) => return Err(error.into()),
        };

        let accuracies = TrainedTasks {
            task_aware: learned.task_aware.clone(),
            task_agnostic: learned.task_agnostic.clone(),
        };
        let weights = folder.join(WEIGHTS);
        let network = learned.into_network()?;
        save(&network, &origin, &weights)?;
        let stages = curriculum.stages().to_vec();
        let seconds: f64 = stages.iter().map(|stage| stage.seconds).sum();
        let trained = self.evaluate(&subject, network, &weights, seconds)?;
        Ok(Progress::Done(Trained {
            stages,
            tasks: Some(accuracies),
            ..trained
        }))
    }

    /// Returns the samples of the tasks of the recipe.
    pub(super) fn task_samples(&self) -> Result<TaskSamples<burn_distill_recipe::AnyDataset>> {
        let tasks = self.recipe.tasks.as_ref();
        let tasks = tasks.context("`tasks` is missing")?;
        self.data.task_samples(tasks)
    }

    /// Adds the head of a task, whose initial weights do not depend on the device.
    fn grown(
        &self,
        seed: u64,
        task: usize,
        network: GrowingNetwork<AnyNetwork>,
        classes: usize,
    ) -> GrowingNetwork<AnyNetwork> {
        let network = network.valid().to_device(&Device::flex());
        // Place 0 is that of the body.
        let seed = Seed::new(seed).network(task + 1);
        seeded(seed, || network.with_head(classes)).to_device(self.device)
    }
}
