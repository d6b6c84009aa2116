use super::checked::Checked;
use super::data::Data;
use super::diverged::Subject;
use super::embedding::EmbeddingAccuracy;
use super::folder::RunFolder;
use super::measure::Cost;
use super::role::Role;
use super::strategy_context::notices_of;
use crate::stop::Stop;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use burn::train::renderer::MetricsRenderer;
use burn_distill::architecture::QuantizedSize;
use burn_distill::core::Seed;
use burn_distill::strategy::{
    MetricKind, Predictions, StageRecord, TaskAccuracies, TeacherIdentity, non_finite_weights,
};
use burn_distill_recipe::{
    AnyNetwork, Loss, LossContext, ModelRecipe, Notices, Recipe, loss_context,
    metrics_of_distilled, with_inputs,
};
use std::path::{Path, PathBuf};
use toml::Table;

/// An experiment: a recipe with its data, the device and the folder of the run.
pub struct Experiment<'a> {
    /// Recipe of the experiment.
    pub recipe: &'a Recipe,
    /// Data of the recipe.
    pub data: &'a Data,
    /// Device of the tensors.
    pub device: &'a Device,
    /// Name of the device, for the result.
    pub device_name: &'a str,
    /// Folder of the run.
    pub folder: &'a RunFolder,
    /// Request to stop the run.
    pub stop: &'a Stop,
    /// Messages of the run, to be shown after the display of the trainings is closed.
    pub notices: Notices,
    /// Result of the check of the recipe with this data.
    pub checked: Checked,
}

/// Progress of a training or of a run.
pub enum Progress<T> {
    /// Finished.
    Done(T),
    /// Stopped on request; it can be resumed.
    Stopped,
}

/// Returns the result of what is finished, or leaves the function if the experiment was stopped.
macro_rules! or_stopped {
    ($progress:expr) => {
        match $progress {
            Progress::Done(done) => done,
            Progress::Stopped => return Ok(Progress::Stopped),
        }
    };
}
pub(super) use or_stopped;

/// A trained network with its measurements.
pub struct Trained {
    /// Network, in validation mode.
    pub network: AnyNetwork,
    /// Predictions on the test set.
    pub predictions: Predictions,
    /// Accuracies of its embeddings, as far as they are measured.
    pub embedding: EmbeddingAccuracy,
    /// Size and latency.
    pub cost: Cost,
    /// Duration of its training in seconds, over all runs and with its preparations; zero if the
    /// network was loaded.
    pub seconds: f64,
    /// Stages of its training, if there were any.
    pub stages: Vec<StageRecord>,
    /// Accuracies on its tasks, if it has learned tasks one after another.
    pub tasks: Option<TrainedTasks>,
    /// Networks that were trained with it, and their ensembles.
    pub members: Vec<TrainedMember>,
}

/// Accuracies of a student on the tasks that it has learned, each after each task.
#[derive(Clone, Debug)]
pub struct TrainedTasks {
    /// Accuracies where the task of a sample is known.
    pub task_aware: TaskAccuracies,
    /// Accuracies among all classes so far.
    pub task_agnostic: TaskAccuracies,
}

/// A network that was trained with the student, or an ensemble of such networks.
pub struct TrainedMember {
    /// Name in the result, such as `peer 2`.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// Network with its measurements.
    pub trained: Trained,
}

/// Display of the trainings, which is passed from one training to the next.
pub type Renderer = Option<Box<dyn MetricsRenderer>>;

impl Experiment<'_> {
    /// Builds the terms of the loss between two networks from these tables, for batches of the
    /// given size.
    pub fn losses(
        &self,
        (seed, stage): (u64, usize),
        (tables, batch_size): (&[Table], usize),
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<Vec<Loss>> {
        let training = &self.recipe.student.training;
        let inputs = self.data.first_inputs(training, seed)?;
        let context = self.loss_context(seed, batch_size, student, teacher)?;
        let context = with_inputs(context, inputs, self.notices_of(seed));
        // Other random numbers than those of the networks.
        let draws = Seed::new(seed).stage_losses(stage).losses();
        burn_distill_recipe::seeded(draws, || {
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

    /// Returns the notices of the repetition of a seed.
    pub(super) fn notices_of(&self, seed: u64) -> Notices {
        notices_of(&self.notices, seed)
    }

    /// Evaluates a trained network, given the file of its weights.
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
        let embedding =
            self.recipe.evaluation.as_ref().map(|evaluation| {
                EmbeddingAccuracy::of(&network, evaluation, self.data, self.device)
            });
        let in_words = |error| subject.evaluation_error(error, weights);
        Ok(Trained {
            predictions: predictions.map_err(in_words)?,
            embedding: embedding.transpose().map_err(in_words)?.unwrap_or_default(),
            cost: Cost::of(&network, weights, self.device)?,
            network,
            seconds,
            stages: Vec::new(),
            tasks: None,
            members: Vec::new(),
        })
    }

    /// Adds the packed size of a student to its measurements, if it is quantized.
    pub(super) fn with_packed_size(&self, mut trained: Trained) -> Result<Trained> {
        let recipe = &self.recipe.student;
        if let Some(quantization) = &recipe.quantization {
            // A loss may have added layers, which are not quantized.
            let plain = self.build(&recipe.model, 0_u64)?;
            let size = quantization.0.size(&plain)?;
            let all = QuantizedSize::in_single_precision(&trained.network);
            trained.cost.packed_bytes = Some(all - size.single_precision + size.packed);
        }
        Ok(trained)
    }

    /// Initializes a network.
    pub fn build(&self, model: &ModelRecipe, seed: impl Into<Seed>) -> Result<AnyNetwork> {
        let registry = &self.recipe.registry;
        registry.build(model, &self.data.task(), seed, self.device)
    }

    /// Returns the identity of the teachers, which a checkpoint records.
    pub fn teacher_identity(&self, seed: u64) -> Result<TeacherIdentity> {
        let files = self.teacher_files(seed)?;
        if files.is_empty() {
            return self.identity_of(Role::Baseline, seed);
        }
        identity_of_files(&files)
    }

    /// Returns the files of the teachers.
    pub(super) fn teacher_files(&self, seed: u64) -> Result<Vec<PathBuf>> {
        let teachers = self.recipe.teachers();
        let mut files = Vec::with_capacity(teachers.len());
        for (index, teacher) in teachers.into_iter().enumerate() {
            let folder = self.phase_folder(Role::Teacher(index), seed);
            match (teacher.onnx, teacher.weights) {
                (Some(onnx), _) => files.extend(onnx.files()?),
                (None, Some(file)) => files.push(file),
                (None, None) => files.push(folder.join("model.bpk")),
            }
        }
        Ok(files)
    }

    /// Returns the identity of a network of this run as a teacher, which a checkpoint records.
    pub(super) fn identity_of(&self, role: Role, seed: u64) -> Result<TeacherIdentity> {
        let weights = self.phase_folder(role, seed).join("model.bpk");
        TeacherIdentity::of_file(&weights).with_context(|| format!("{}", weights.display()))
    }

    /// Returns the folder of the training of a network.
    pub fn phase_folder(&self, role: Role, seed: u64) -> PathBuf {
        self.folder.join(format!("seed-{seed}")).join(role.name())
    }
}

/// Returns the identity of the teachers in these files, of which there is at least one.
pub(super) fn identity_of_files(files: &[PathBuf]) -> Result<TeacherIdentity> {
    TeacherIdentity::of_files(files).with_context(|| format!("{}", files[0].display()))
}

/// Returns the metrics of a student that is distilled with these losses, without accuracies if the
/// data has no labels.
pub fn metrics(losses: &[Loss], data: &Data) -> Vec<MetricKind> {
    let metrics = metrics_of_distilled(losses.iter().map(|loss| &loss.name));
    measured(metrics, data)
}

/// Returns the metrics that can be measured on the data: without labels, no accuracies.
pub fn measured(metrics: Vec<MetricKind>, data: &Data) -> Vec<MetricKind> {
    let of_labels =
        |metric: &MetricKind| matches!(metric, MetricKind::Accuracy | MetricKind::TeacherAccuracy);
    let mut metrics = metrics;
    metrics.retain(|metric| data.has_labels() || !of_labels(metric));
    metrics
}
