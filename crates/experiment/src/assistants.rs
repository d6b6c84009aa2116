//! The student, distilled by way of assistants: networks between teacher and student.

use super::clip::clipped;
use super::experiment::{
    Experiment, Progress, Renderer, Trained, TrainedMember, identity_of_files, measured, metrics,
    or_stopped,
};
use super::phase::{Phase, WEIGHTS};
use super::role::Role;
use anyhow::Result;
use burn_distill::core::{Frozen, Objective, Seed};
use burn_distill::strategy::{MetricKind, OfflineDistiller, TeacherIdentity};
use burn_distill_recipe::{
    AnyNetwork, AssistantPlan, Guidance, JointLoss, Loss, LossContext, ModelRecipe, TeachingEpoch,
    TrainingRecipe, with_inputs,
};

/// An assistant or the student, which learns from networks before it.
struct Link<'a> {
    role: Role,
    /// Place among the networks, counted from 1; 0 for the student, whose weights and samples are
    /// those of a student without assistants.
    place: usize,
    model: &'a ModelRecipe,
    training: &'a TrainingRecipe,
    best_epoch: bool,
}

/// A network that teaches others.
struct Guide {
    role: Role,
    network: AnyNetwork,
}

impl Experiment<'_> {
    /// Trains the assistants, each of which learns from networks before it, and then the student.
    pub(super) fn distilled_by_assistants(
        &self,
        seed: u64,
        teacher: &Trained,
        plan: &AssistantPlan<'_>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let student = &self.recipe.student;
        let mut guides = vec![Guide {
            role: Role::Teacher(0),
            network: teacher.network.clone(),
        }];
        let mut members = Vec::with_capacity(plan.assistants.len());
        for (number, assistant) in (1..).zip(plan.assistants) {
            let link = Link {
                role: Role::Assistant(number),
                place: number,
                model: &assistant.model,
                training: assistant.training.as_ref().unwrap_or(&student.training),
                best_epoch: self.teaches_by_best_epoch(),
            };
            let trained = or_stopped!(self.link(seed, plan, &link, &guides, renderer)?);
            guides.push(Guide {
                role: link.role,
                network: trained.network.clone(),
            });
            members.push(TrainedMember {
                name: link.role.title(),
                model: assistant.model.to_string(),
                trained,
            });
        }
        let link = Link {
            role: Role::Distilled,
            place: 0,
            model: &student.model,
            training: &student.training,
            best_epoch: false,
        };
        let distilled = or_stopped!(self.link(seed, plan, &link, &guides, renderer)?);
        Ok(Progress::Done(Trained {
            members,
            ..distilled
        }))
    }

    /// Returns whether a network teaches as it is after its best epoch on the validation data.
    pub(super) fn teaches_by_best_epoch(&self) -> bool {
        let plan = self.recipe.strategy.options().assistants();
        plan.is_some_and(|plan| plan.teaching_epoch == TeachingEpoch::Best)
    }

    /// Trains a network by distillation from those before it.
    fn link(
        &self,
        seed: u64,
        plan: &AssistantPlan<'_>,
        link: &Link<'_>,
        guides: &[Guide],
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let guides = match plan.guidance {
            Guidance::Previous => &guides[guides.len() - 1..],
            Guidance::All { .. } => guides,
        };
        let network = match link.role {
            Role::Distilled => self.student(seed, &guides[0].network)?,
            _ => self.build(link.model, Seed::new(seed).network(link.place))?,
        };
        let contexts = guides
            .iter()
            .map(|guide| self.context_of(seed, link.training, &network, &guide.network));
        let contexts = contexts.collect::<Result<Vec<_>>>()?;
        match plan.guidance {
            Guidance::Previous => {
                let losses = self.drawn(seed, link, || {
                    let kinds = self.recipe.registry.losses();
                    AssistantPlan::losses(kinds, &self.recipe.losses, &contexts[0])
                })?;
                self.link_to_previous(seed, link, network, &guides[0], losses, renderer)
            }
            Guidance::All { .. } => {
                let losses = self.drawn(seed, link, || {
                    let kinds = self.recipe.registry.losses();
                    let drops = loss_seed(seed, link);
                    plan.guided_losses(kinds, &self.recipe.losses, &contexts, drops)
                })?;
                self.link_to_all(seed, link, network, guides, losses, renderer)
            }
        }
    }

    fn link_to_previous(
        &self,
        seed: u64,
        link: &Link<'_>,
        network: AnyNetwork,
        guide: &Guide,
        losses: Vec<Loss>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let objective = losses.iter().map(|loss| loss.objective.clone());
        let objective: Vec<_> = objective.collect();
        let views = objective.requirements().views;
        let distiller = OfflineDistiller::new(network, self.frozen(guide), objective);
        self.train(Phase {
            role: link.role,
            seed,
            model: link.model,
            training: link.training,
            loaders: self.data.loaders(
                self.data
                    .for_stage(link.training, seed, link.place)?
                    .views(views),
            ),
            teacher: Some(self.identity_of_guides(seed, std::slice::from_ref(guide))?),
            metrics: metrics(&losses, self.data),
            snapshots: Vec::new(),
            best_epoch: link.best_epoch,
            distiller: clipped(distiller, &losses),
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }

    fn link_to_all(
        &self,
        seed: u64,
        link: &Link<'_>,
        network: AnyNetwork,
        guides: &[Guide],
        losses: Vec<JointLoss>,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        let terms = losses.iter().map(|loss| loss.name.clone());
        metrics.extend(terms.map(MetricKind::Term));
        let objective: Vec<_> = losses.into_iter().map(|loss| loss.objective).collect();
        let teachers: Vec<_> = guides.iter().map(|guide| self.frozen(guide)).collect();
        self.train(Phase {
            role: link.role,
            seed,
            model: link.model,
            training: link.training,
            loaders: self
                .data
                .loaders(self.data.for_stage(link.training, seed, link.place)?),
            teacher: Some(self.identity_of_guides(seed, guides)?),
            metrics: measured(metrics, self.data),
            snapshots: Vec::new(),
            best_epoch: link.best_epoch,
            distiller: OfflineDistiller::new(network, teachers, objective),
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }

    /// Freezes a guide. Only the teacher may compute in training mode.
    fn frozen(&self, guide: &Guide) -> Frozen<AnyNetwork> {
        let training_mode = matches!(guide.role, Role::Teacher(index) if self.recipe.teaches_in_training_mode(index));
        Frozen::new(guide.network.clone()).with_training_mode(training_mode)
    }

    /// Returns the identity of guides, which a checkpoint records.
    fn identity_of_guides(&self, seed: u64, guides: &[Guide]) -> Result<TeacherIdentity> {
        let mut files = Vec::with_capacity(guides.len());
        for guide in guides {
            match guide.role {
                Role::Teacher(_) => files.extend(self.teacher_files(seed)?),
                role => files.push(self.phase_folder(role, seed).join(WEIGHTS)),
            }
        }
        identity_of_files(&files)
    }

    /// Creates the context of the losses between a network and one of its guides.
    fn context_of(
        &self,
        seed: u64,
        training: &TrainingRecipe,
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<LossContext> {
        let context = self.loss_context(seed, training.batch_size, student, teacher)?;
        let inputs = self.data.first_inputs(training, seed)?;
        Ok(with_inputs(context, inputs, self.notices_of(seed)))
    }

    /// Calls `draw` with the random numbers of the losses of a network.
    fn drawn<T>(&self, seed: u64, link: &Link<'_>, draw: impl FnOnce() -> T) -> T {
        burn_distill_recipe::seeded(loss_seed(seed, link), draw)
    }
}

/// Returns the seed of the losses of a network; that of the student is the one of a student without
/// assistants.
fn loss_seed(seed: u64, link: &Link<'_>) -> Seed {
    Seed::new(seed).stage_losses(link.place).losses()
}
