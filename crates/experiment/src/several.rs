use super::experiment::{Experiment, Progress, Renderer, Trained, measured};
use super::phase::Phase;
use super::role::Role;
use anyhow::Result;
use burn_distill::core::{Frozen, Seed};
use burn_distill::strategy::{MetricKind, OfflineDistiller};
use burn_distill_recipe::{JointLoss, LossContext, TeacherChoices};

impl Experiment<'_> {
    /// Trains the student by distillation from several teachers at once.
    pub(super) fn distilled_by_several(
        &self,
        seed: u64,
        teachers: &[Trained],
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let recipe = &self.recipe.student;
        let network = self.student(seed, &teachers[0].network)?;
        let contexts = teachers.iter().map(|teacher| {
            let batch_size = recipe.training.batch_size;
            self.loss_context(seed, batch_size, &network, &teacher.network)
        });
        let losses = self.joint_losses(seed, &contexts.collect::<Result<Vec<_>>>()?)?;

        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        metrics.extend(
            losses
                .iter()
                .map(|loss| MetricKind::Term(loss.name.clone())),
        );
        let metrics = measured(metrics, self.data);
        let objective: Vec<_> = losses.into_iter().map(|loss| loss.objective).collect();
        let teachers = teachers.iter().enumerate().map(|(index, teacher)| {
            Frozen::new(teacher.network.clone())
                .with_training_mode(self.recipe.teaches_in_training_mode(index))
        });
        let teachers: Vec<_> = teachers.collect();

        self.train(Phase {
            role: Role::Distilled,
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loaders: self
                .data
                .loaders(self.data.for_distilled(&recipe.training, seed)?),
            teacher: Some(self.teacher_identity(seed)?),
            metrics,
            snapshots: Vec::new(),
            best_epoch: false,
            distiller: OfflineDistiller::new(network, teachers, objective),
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }

    fn joint_losses(&self, seed: u64, contexts: &[LossContext]) -> Result<Vec<JointLoss>> {
        // Other random numbers than those of the networks, as with one teacher.
        burn_distill_recipe::seeded(Seed::new(seed).losses(), || {
            let names = self.recipe.teacher_names();
            let choices = TeacherChoices {
                names: &names,
                seed: Seed::new(seed),
            };
            let losses = self.recipe.losses.iter();
            let kinds = self.recipe.registry.losses();
            losses
                .map(|table| kinds.build_of_several(table, contexts, choices))
                .collect()
        })
    }
}
