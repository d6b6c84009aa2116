use super::checked::Checked;
use super::data::Data;
use super::diverged::Subject;
use super::folder::RunFolder;
use super::measure::Cost;
use super::role::Role;
use super::strategy_context::notices_of;
use crate::stop::Stop;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use burn::train::renderer::MetricsRenderer;
use burn_distill::core::Seed;
use burn_distill::strategy::{
    MetricKind, Predictions, StageRecord, TeacherIdentity, non_finite_weights,
};
use burn_distill_recipe::{
    AnyNetwork, Loss, LossContext, ModelRecipe, Notices, Recipe, loss_context,
    metrics_of_distilled, with_inputs,
};
use std::path::{Path, PathBuf};
use toml::Table;

/// An experiment: what to do, with what, and where to.
pub struct Experiment<'a> {
    /// Recipe of the experiment.
    pub recipe: &'a Recipe,
    /// The data.
    pub data: &'a Data,
    /// Device of the tensors.
    pub device: &'a Device,
    /// Name of the device, for the result.
    pub device_name: &'a str,
    /// Where files go.
    pub folder: &'a RunFolder,
    /// Whether somebody wants to stop.
    pub stop: &'a Stop,
    /// Messages of the run, to be shown after the display of the trainings is closed.
    pub notices: Notices,
    /// Result of the check of the recipe with this data.
    pub checked: Checked,
}

/// How far an experiment has come.
pub enum Progress<T> {
    /// Done.
    Done(T),
    /// Stopped on request: it can be resumed.
    Stopped,
}

/// Unwrap what is done, or return that the experiment was stopped.
macro_rules! or_stopped {
    ($progress:expr) => {
        match $progress {
            Progress::Done(done) => done,
            Progress::Stopped => return Ok(Progress::Stopped),
        }
    };
}
pub(super) use or_stopped;

/// A trained network and how it does.
pub struct Trained {
    /// The network, in validation mode.
    pub network: AnyNetwork,
    /// Predictions for the test set.
    pub predictions: Predictions,
    /// Size and latency.
    pub cost: Cost,
    /// How long its training took, in seconds, over all its runs, with what was trained for it
    /// before; zero if it was loaded.
    pub seconds: f64,
    /// The stages of its training, if it had any.
    pub stages: Vec<StageRecord>,
    /// The networks that learned with it, and what is made of them.
    pub members: Vec<TrainedMember>,
}

/// A network that learned with the student, or that is made of those that did.
pub struct TrainedMember {
    /// Name in the result, such as `peer 2`.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// How it does.
    pub trained: Trained,
}

/// The display, which one training hands to the next.
pub type Renderer = Option<Box<dyn MetricsRenderer>>;

impl Experiment<'_> {
    /// The terms of the loss between these networks, with what they have to learn: those of these
    /// tables, for batches of that size.
    pub fn losses(
        &self,
        seed: u64,
        (tables, batch_size): (&[Table], usize),
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<Vec<Loss>> {
        let training = &self.recipe.student.training;
        let inputs = self.data.first_inputs(training, seed)?;
        let context = self.loss_context(seed, batch_size, student, teacher)?;
        let context = with_inputs(context, inputs, self.notices_of(seed));
        // Away from the seeds of networks.
        burn_distill_recipe::seeded(Seed::new(seed).losses(), || {
            let losses = tables.iter();
            let kinds = self.recipe.registry.losses();
            losses.map(|table| kinds.build(table, &context)).collect()
        })
    }

    /// Creates the context of the losses between two networks, for batches of the given size.
    pub fn loss_context(
        &self,
        seed: u64,
        batch_size: usize,
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<LossContext> {
        // Copies: moving a network also moves its running statistics.
        let on_cpu = |network: &AnyNetwork| network.valid().to_device(&Device::flex());
        Ok(loss_context(
            on_cpu(student),
            on_cpu(teacher),
            batch_size,
            self.data.known_classes(seed)?,
        ))
    }

    /// Returns where the repetition of a seed leaves messages.
    pub(super) fn notices_of(&self, seed: u64) -> Notices {
        notices_of(&self.notices, seed)
    }

    /// Evaluates a trained network, whose weights are in that file.
    ///
    /// # Errors
    ///
    /// Returns an error if its weights or its predictions are NaN or infinite.
    pub(super) fn evaluate(
        &self,
        subject: &Subject,
        network: AnyNetwork,
        weights: &Path,
        seconds: f64,
    ) -> Result<Trained> {
        let network = network.valid().to_device(self.device);
        if let Some(tensor) = non_finite_weights(&network) {
            return Err(subject.weights_error(&tensor, weights));
        }
        let predictions = Predictions::of(&network, &self.data.test_loader(self.device));
        Ok(Trained {
            predictions: predictions.map_err(|error| subject.evaluation_error(error, weights))?,
            cost: Cost::of(&network, weights, self.device)?,
            network,
            seconds,
            stages: Vec::new(),
            members: Vec::new(),
        })
    }

    /// A network with initial weights.
    pub fn build(&self, model: &ModelRecipe, seed: impl Into<Seed>) -> Result<AnyNetwork> {
        let registry = &self.recipe.registry;
        registry.build(model, &self.data.task(), seed, self.device)
    }

    /// The teachers that checkpoints belong to.
    pub fn teacher_identity(&self, seed: u64) -> Result<TeacherIdentity> {
        let teachers = self.recipe.teachers();
        if teachers.is_empty() {
            return self.identity_of(Role::Baseline, seed);
        }
        let weights = teachers.into_iter().enumerate().map(|(index, teacher)| {
            let folder = self.phase_folder(Role::Teacher(index), seed);
            teacher.weights.unwrap_or_else(|| folder.join("model.bpk"))
        });
        let weights: Vec<_> = weights.collect();
        TeacherIdentity::of_files(&weights).with_context(|| format!("{}", weights[0].display()))
    }

    /// A network of this run as a teacher that checkpoints belong to.
    pub(super) fn identity_of(&self, role: Role, seed: u64) -> Result<TeacherIdentity> {
        let weights = self.phase_folder(role, seed).join("model.bpk");
        TeacherIdentity::of_file(&weights).with_context(|| format!("{}", weights.display()))
    }

    /// The folder of the training of a network.
    pub fn phase_folder(&self, role: Role, seed: u64) -> PathBuf {
        self.folder.join(format!("seed-{seed}")).join(role.name())
    }
}

/// Returns the figures that are shown of a student that is distilled with these losses.
pub fn metrics(losses: &[Loss]) -> Vec<MetricKind> {
    metrics_of_distilled(losses.iter().map(|loss| &loss.name))
}
