use super::clip::clipped;
use super::data::{Data, Loader};
use super::diverged::{Subject, noted};
use super::folder::RunFolder;
use super::measure::Cost;
use super::phase::{Phase, Role};
use super::weights;
use crate::stop::Stop;
use anyhow::{Context, Result};
use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::tensor::Device;
use burn::train::renderer::MetricsRenderer;
use burn_distill::core::{Frozen, Hard, Objective, Seed};
use burn_distill::strategy::{
    Figure, OfflineDistiller, Predictions, Snapshots, StageRecord, TeacherIdentity,
    non_finite_weights,
};
use burn_distill_recipe::ImageNetwork;
use burn_distill_recipe::{
    Loss, ModelRecipe, Recipe, Scene, TeacherRecipe, figures_of_taught, student_of,
};
use std::path::Path;
use toml::Table;

/// An experiment: what to do, with what, and where to.
pub struct Experiment<'a> {
    /// What to do.
    pub recipe: &'a Recipe,
    /// The data.
    pub data: &'a Data,
    /// Where tensors live.
    pub device: &'a Device,
    /// Where files go.
    pub folder: &'a RunFolder,
    /// Whether somebody wants to stop.
    pub stop: &'a Stop,
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

/// One seed's teacher, if there is one, student alone and student taught.
pub struct Repetition {
    /// The network that teaches, or the first of several.
    pub teacher: Option<Trained>,
    /// The networks that teach beside it.
    pub others: Vec<Trained>,
    /// The student, trained on what labels it knows.
    pub alone: Trained,
    /// The student, taught.
    pub distilled: Trained,
}

/// A trained network and how it does.
pub struct Trained {
    /// The network, in validation mode.
    pub network: ImageNetwork,
    /// What it predicts for the test set.
    pub predictions: Predictions,
    /// What it costs.
    pub cost: Cost,
    /// How long its training took, in seconds, over all its runs, with what was trained for it
    /// before; zero if it was loaded.
    pub seconds: f64,
    /// The stages of its training, if it had any.
    pub stages: Vec<StageRecord>,
    /// The networks that learnt with it, and what is made of them.
    pub members: Vec<TrainedMember>,
}

/// A network that learnt with the student, or that is made of those that did.
pub struct TrainedMember {
    /// What it is, as in `peer 2`.
    pub name: String,
    /// What model it is.
    pub model: String,
    /// How it does.
    pub trained: Trained,
}

/// The display, which one training hands to the next.
pub type Renderer = Option<Box<dyn MetricsRenderer>>;

impl Experiment<'_> {
    /// Runs one repetition. What an earlier run has finished is loaded, not done again.
    ///
    /// # Errors
    ///
    /// Returns an error if a training or an evaluation fails. If a network has become NaN or infinite,
    /// `result.json` says so.
    pub fn repeat(&self, seed: u64, renderer: &mut Renderer) -> Result<Progress<Repetition>> {
        self.train_all(seed, renderer)
            .map_err(|error| noted(error, self.folder))
    }

    fn train_all(&self, seed: u64, renderer: &mut Renderer) -> Result<Progress<Repetition>> {
        let teachers = self.recipe.teachers();
        let mut trained = Vec::with_capacity(teachers.len());
        for (index, recipe) in teachers.iter().enumerate() {
            trained.push(or_stopped!(self.teacher(seed, index, recipe, renderer)?));
        }
        let alone = or_stopped!(self.alone(seed, renderer)?);
        let distilled = or_stopped!(match trained.as_slice() {
            [] => self.distilled_by_strategy(seed, &alone, renderer)?,
            [teacher] => self.distilled(seed, teacher, renderer)?,
            teachers => self.distilled_by_several(seed, teachers, renderer)?,
        });
        let mut trained = trained.into_iter();
        Ok(Progress::Done(Repetition {
            teacher: trained.next(),
            others: trained.collect(),
            alone,
            distilled,
        }))
    }

    fn teacher(
        &self,
        seed: u64,
        index: usize,
        recipe: &TeacherRecipe,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        // Every teacher is another network, in another order of the samples.
        let own = Seed::new(seed).teacher(index);
        let network = self.build(&recipe.model, own.teacher_weights())?;
        if let Some(file) = &recipe.weights {
            let network = weights::load(network, &recipe.model.to_string(), file)?;
            let subject = Subject::new(Role::Teacher(index), seed);
            let teacher = self.evaluate(&subject, network, file, 0.0)?;
            return Ok(Progress::Done(teacher));
        }
        let figures = [Figure::Loss, Figure::Accuracy];
        let epochs = recipe.training.epochs;
        let route = self.recipe.route.iter();
        self.train(Phase {
            role: Role::Teacher(index),
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loader: self.data.for_teacher(&recipe.training, own.value()),
            teacher: None,
            figures: figures.into(),
            snapshots: route
                .flat_map(|route| Snapshots::equally_spaced(route.anchors, epochs))
                .collect(),
            distiller: OfflineDistiller::alone(network, Hard::new(1.0)),
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }

    fn alone(&self, seed: u64, renderer: &mut Renderer) -> Result<Progress<Trained>> {
        let recipe = &self.recipe.student;
        let network = self.build(&recipe.model, seed)?;
        let figures = [Figure::Loss, Figure::Accuracy];
        self.train(Phase {
            role: Role::Alone,
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loader: self.for_alone(seed)?,
            teacher: None,
            figures: figures.into(),
            snapshots: Vec::new(),
            distiller: OfflineDistiller::alone(network, Hard::new(1.0)),
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }

    /// Returns what the student alone learns from, for as many steps as the distilled student takes.
    fn for_alone(&self, seed: u64) -> Result<Loader> {
        let training = &self.recipe.student.training;
        let strategy = self.recipe.strategy.options();
        match self.data.labeled_per_batch(strategy, training, seed)? {
            0 => self.data.for_alone(training, seed),
            _ => {
                let samples = self.for_taught(training, seed)?.num_items();
                self.data.for_alone_repeated(training, seed, samples)
            }
        }
    }

    /// The student, taught by one teacher that no longer changes.
    pub(super) fn distilled(
        &self,
        seed: u64,
        teacher: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        if self.recipe.route.is_some() || !self.recipe.stages.is_empty() {
            return self.distilled_in_stages(seed, teacher, renderer);
        }
        let recipe = &self.recipe.student;
        let network = self.build(&recipe.model, seed)?;
        let tables = (&self.recipe.losses[..], recipe.training.batch_size);
        let losses = self.losses(seed, tables, &network, &teacher.network)?;
        let networks = (&network, &teacher.network);
        let prepared =
            or_stopped!(self.prepare(seed, &recipe.training, losses, networks, renderer)?);
        let losses = prepared.losses;
        let network = match student_of(&losses)? {
            Some(student) => student.to_device(self.device),
            None => network,
        };
        let figures = figures(&losses);
        let objective = losses.iter().map(|loss| loss.objective.clone());
        let objective: Vec<_> = objective.collect();
        let views = objective.wanted().views;
        let teacher = Frozen::new(teacher.network.clone())
            .with_training_mode(self.recipe.teaches_in_training_mode(0));
        let distiller = OfflineDistiller::new(network, teacher, objective);

        let trained = or_stopped!(self.train(Phase {
            role: Role::Distilled,
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loader: self.data.for_taught(&recipe.training, seed)?.views(views),
            teacher: Some(self.teacher_identity(seed)?),
            figures,
            snapshots: Vec::new(),
            distiller: clipped(distiller, &losses),
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })?);
        Ok(Progress::Done(Trained {
            seconds: prepared.seconds + trained.seconds,
            ..trained
        }))
    }

    /// The terms of the loss between these networks, with what they have to learn: those of these
    /// tables, for batches of that size.
    pub fn losses(
        &self,
        seed: u64,
        (tables, batch_size): (&[Table], usize),
        student: &ImageNetwork,
        teacher: &ImageNetwork,
    ) -> Result<Vec<Loss>> {
        let training = &self.recipe.student.training;
        let inputs = self.data.first_inputs(training, seed)?;
        let scene = self.scene(seed, batch_size, student, teacher)?;
        let scene = scene.with_inputs(inputs);
        // Away from the seeds of networks.
        burn_distill_recipe::seeded(Seed::new(seed).losses(), || {
            let losses = tables.iter();
            let kinds = self.recipe.registry.losses();
            losses.map(|table| kinds.build(table, &scene)).collect()
        })
    }

    /// The two networks as the losses between them see them, for batches of that size.
    pub fn scene(
        &self,
        seed: u64,
        batch_size: usize,
        student: &ImageNetwork,
        teacher: &ImageNetwork,
    ) -> Result<Scene> {
        // Copies of their own: to move a network takes its running statistics along.
        let on_cpu = |network: &ImageNetwork| network.valid().to_device(&Device::flex());
        Ok(Scene::new(
            on_cpu(student),
            on_cpu(teacher),
            batch_size,
            self.data.known_classes(seed)?,
        ))
    }

    /// Evaluates a trained network, whose weights are in that file.
    ///
    /// # Errors
    ///
    /// Returns an error if its weights or its predictions are NaN or infinite.
    pub(super) fn evaluate(
        &self,
        subject: &Subject,
        network: ImageNetwork,
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
    pub fn build(&self, model: &ModelRecipe, seed: impl Into<Seed>) -> Result<ImageNetwork> {
        let registry = &self.recipe.registry;
        registry.build(model, &self.data.task(), seed, self.device)
    }

    /// The teachers that checkpoints belong to.
    pub fn teacher_identity(&self, seed: u64) -> Result<TeacherIdentity> {
        let teachers = self.recipe.teachers();
        if teachers.is_empty() {
            return self.identity_of(Role::Alone, seed);
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
}

/// What is shown of a student that is taught with these losses.
pub fn figures(losses: &[Loss]) -> Vec<Figure> {
    figures_of_taught(losses.iter().map(|loss| &loss.name))
}
