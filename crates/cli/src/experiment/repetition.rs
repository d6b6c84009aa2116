use super::data::Data;
use super::folder::RunFolder;
use super::measure::Cost;
use super::network::{self, ImageNetwork};
use crate::recipe::{Loss, Recipe, Scene, TrainingRecipe, student_of};
use crate::stop::Stop;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::renderer::MetricsRenderer;
use burn_distill::architecture::NetworkConfig;
use burn_distill::core::{Frozen, Hard};
use burn_distill::data::BatchLoader;
use burn_distill::strategy::{
    Distiller, Figure, OfflineDistiller, Predictions, TeacherIdentity, Training, write_atomically,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

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

/// One seed's teacher, student alone and student taught.
pub struct Repetition {
    /// The network that teaches.
    pub teacher: Trained,
    /// The student, trained on what labels it knows.
    pub alone: Trained,
    /// The student, taught by the teacher.
    pub distilled: Trained,
}

/// A trained network and how it does.
pub struct Trained {
    network: ImageNetwork,
    /// What it predicts for the test set.
    pub predictions: Predictions,
    /// What it costs.
    pub cost: Cost,
    /// How long its training took, in seconds, over all its runs, with what was trained for it
    /// before; zero if it was loaded.
    pub seconds: f64,
}

/// Which of the three networks of a repetition.
#[derive(Clone, Copy)]
enum Role {
    Teacher,
    Alone,
    Distilled,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Alone => "alone",
            Self::Distilled => "distilled",
        }
    }
}

/// What a finished training leaves beside its weights, and an interrupted one for the next.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub finished: bool,
    pub seconds: f64,
}

pub(super) type Renderer = Option<Box<dyn MetricsRenderer>>;

impl Experiment<'_> {
    /// Run one repetition. What an earlier run has finished is loaded, not done again.
    pub fn repeat(&self, seed: u64, renderer: &mut Renderer) -> Result<Progress<Repetition>> {
        let teacher = or_stopped!(self.teacher(seed, renderer)?);
        let alone = or_stopped!(self.alone(seed, renderer)?);
        let distilled = or_stopped!(self.distilled(seed, &teacher, renderer)?);
        Ok(Progress::Done(Repetition {
            teacher,
            alone,
            distilled,
        }))
    }

    fn teacher(&self, seed: u64, renderer: &mut Renderer) -> Result<Progress<Trained>> {
        let recipe = &self.recipe.teacher;
        // Away from the seeds of students, so that a teacher of the same model is another network.
        let network = self.build(&recipe.model, seed.wrapping_add(1 << 32))?;
        if let Some(weights) = &recipe.weights {
            let network = network::load(network, &recipe.model, weights)?;
            return Ok(Progress::Done(self.evaluate(network, weights, 0.0)?));
        }
        let figures = [Figure::Loss, Figure::Accuracy];
        self.train(Phase {
            role: Role::Teacher,
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loader: self.data.for_teacher(&recipe.training, seed),
            teacher: None,
            figures: figures.into(),
            distiller: OfflineDistiller::alone(network, Hard::new(1.0)),
            student: |distiller| distiller.student,
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
            loader: self.data.for_alone(&recipe.training, seed)?,
            teacher: None,
            figures: figures.into(),
            distiller: OfflineDistiller::alone(network, Hard::new(1.0)),
            student: |distiller| distiller.student,
            renderer,
        })
    }

    fn distilled(
        &self,
        seed: u64,
        teacher: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let recipe = &self.recipe.student;
        let network = self.build(&recipe.model, seed)?;
        let losses = self.losses(seed, &network, &teacher.network)?;
        let prepared =
            or_stopped!(self.prepare(seed, losses, &network, &teacher.network, renderer)?);
        let losses = prepared.losses;
        let network = match student_of(&losses)? {
            Some(student) => student.to_device(self.device),
            None => network,
        };

        let mut figures = vec![
            Figure::Loss,
            Figure::Accuracy,
            Figure::TeacherAccuracy,
            Figure::Agreement,
        ];
        figures.extend(losses.iter().map(|loss| Figure::Term(loss.name.clone())));
        let objective: Vec<_> = losses.into_iter().map(|loss| loss.objective).collect();

        let trained = or_stopped!(self.train(Phase {
            role: Role::Distilled,
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loader: self.data.for_taught(&recipe.training, seed)?,
            teacher: Some(self.teacher_identity(seed)?),
            figures,
            distiller: OfflineDistiller::new(
                network,
                Frozen::new(teacher.network.clone()),
                objective,
            ),
            student: |distiller| distiller.student,
            renderer,
        })?);
        Ok(Progress::Done(Trained {
            seconds: prepared.seconds + trained.seconds,
            ..trained
        }))
    }

    /// The terms of the loss between these networks, with what they have to learn.
    fn losses(
        &self,
        seed: u64,
        student: &ImageNetwork,
        teacher: &ImageNetwork,
    ) -> Result<Vec<Loss>> {
        // Copies of their own: to move a network takes its running statistics along.
        let on_cpu = |network: &ImageNetwork| network.valid().to_device(&Device::flex());
        let scene = Scene::new(
            on_cpu(student),
            on_cpu(teacher),
            self.recipe.student.training.batch_size,
            self.data.known_classes(seed)?,
        );
        // Away from the seeds of networks.
        network::seeded(seed.wrapping_add(2 << 32), || {
            let losses = self.recipe.losses.iter();
            losses.map(|table| Loss::new(table, &scene)).collect()
        })
    }

    /// Train a network, or load it if that is done.
    fn train<M>(&self, phase: Phase<'_, M>) -> Result<Progress<Trained>>
    where
        M: Distiller<Tensor<4>>,
    {
        let folder = self.phase_folder(phase.role, phase.seed);
        let weights = folder.join("model.bpk");
        let record_file = folder.join("training.json");
        let mut record = Record::read(&record_file)?;
        if record.finished {
            let network = (phase.student)(phase.distiller);
            let network = network::load(network, phase.model, &weights)?;
            return Ok(Progress::Done(self.evaluate(
                network,
                &weights,
                record.seconds,
            )?));
        }
        if self.stop.is_requested() {
            return Ok(Progress::Stopped);
        }
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;

        let start = Instant::now();
        let trained = Training::new(&folder, self.device, phase.training.epochs)
            .with_label(format!("seed {} {}", phase.seed, phase.role.name()))
            // A new run has a new folder, so what is there is to be gone on with.
            .with_resume(true)
            .with_patience(phase.training.patience)
            .with_teacher(phase.teacher)
            .with_figures(phase.figures)
            .with_interrupter(self.stop.interrupter())
            .with_renderer(phase.renderer.take())
            .launch(
                phase.distiller,
                &phase.training.optimizer,
                &phase.training.learning_rate,
                self.data.loaders(phase.loader),
            )?;
        *phase.renderer = Some(trained.renderer);
        record.seconds += start.elapsed().as_secs_f64();
        record.finished = !trained.stopped;
        let network = (phase.student)(trained.model);
        if record.finished {
            network::save(&network, &weights)?;
        }
        record.write(&record_file)?;
        if trained.stopped {
            return Ok(Progress::Stopped);
        }
        Ok(Progress::Done(self.evaluate(
            network,
            &weights,
            record.seconds,
        )?))
    }

    fn evaluate(&self, network: ImageNetwork, weights: &Path, seconds: f64) -> Result<Trained> {
        let network = network.valid();
        Ok(Trained {
            predictions: Predictions::of(&network, &self.data.test_loader(self.device))?,
            cost: Cost::of(&network, weights, self.device)?,
            network,
            seconds,
        })
    }

    fn build(&self, model: &NetworkConfig, seed: u64) -> Result<ImageNetwork> {
        let (shape, classes) = (self.data.shape(), self.data.num_classes());
        network::build(model, shape, classes, seed, self.device)
    }

    fn phase_folder(&self, role: Role, seed: u64) -> PathBuf {
        self.folder.join(format!("seed-{seed}")).join(role.name())
    }

    pub(super) fn teacher_identity(&self, seed: u64) -> Result<TeacherIdentity> {
        let trained = || self.phase_folder(Role::Teacher, seed).join("model.bpk");
        let weights = self.recipe.teacher.weights.clone().unwrap_or_else(trained);
        TeacherIdentity::of_file(&weights).with_context(|| format!("{}", weights.display()))
    }
}

/// One training of an experiment.
struct Phase<'a, M> {
    role: Role,
    seed: u64,
    model: &'a NetworkConfig,
    training: &'a TrainingRecipe,
    loader: BatchLoader,
    teacher: Option<TeacherIdentity>,
    figures: Vec<Figure>,
    distiller: M,
    student: fn(M) -> ImageNetwork,
    renderer: &'a mut Renderer,
}

impl Record {
    pub fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("{}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{}", path.display())),
        }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, serde_json::to_string_pretty(self)?.as_bytes())
            .with_context(|| format!("{}", path.display()))
    }
}
