//! The student, distilled in stages: those of the recipe, or the anchors of a route.

use super::clip::clipped;
use super::diverged::Subject;
use super::experiment::{Experiment, Progress, Renderer, Trained, metrics, or_stopped};
use super::provenance::Provenance;
use super::role::Role;
use super::weights::save;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::train::TrainOutput;
use burn_distill::core::{
    Batch, CrossEntropyObjective, DynNetwork, DynObjective, Frozen, Network, Objective,
    parameter_count,
};
use burn_distill::strategy::{
    AnchorStage, Curriculum, CurriculumError, Distillation, DistillationOutput, OfflineDistiller,
    Route, Snapshots, Stage, StageArtifacts, TeacherIdentity, WeightsFile, hardness, learner_model,
};
use burn_distill_recipe::{
    AnyInput, AnyNetwork, RouteBy, RouteRecipe, TrainingRecipe, Trains, student_of,
};
use std::collections::BTreeMap;
use toml::Table;

impl Experiment<'_> {
    /// Trains the student in stages by distillation from the teacher, or along its route.
    pub fn distilled_in_stages(
        &self,
        seed: u64,
        teacher: &Trained,
        renderer: &mut Renderer,
    ) -> Result<Progress<Trained>> {
        let folder = self.phase_folder(Role::Distilled, seed);
        let model = &self.recipe.student.model;
        let origin = self.data.provenance(model, Role::Distilled.name(), seed);
        let curriculum = Curriculum::open(&folder, self.device)?
            .with_label(format!("seed {seed} {},", Role::Distilled.name()))
            .with_metadata(of_artifact(origin.clone()))
            .with_interrupter(self.stop.interrupter())
            .with_renderer(renderer.take());
        let mut runner = StageRunner {
            experiment: self,
            seed,
            teacher: teacher.network.clone(),
            curriculum,
            changed: None,
            prepared: 0.0,
        };
        let progress = match &self.recipe.route {
            Some(route) => runner.along(route),
            None => runner.by_stages(teacher),
        };
        let finished = match progress? {
            Progress::Done(()) => {
                let student = runner.student()?.deployed();
                Some((student, runner.curriculum.stages().to_vec()))
            }
            Progress::Stopped => None,
        };
        *renderer = runner.curriculum.renderer().take();
        let Some((student, stages)) = finished else {
            return Ok(Progress::Stopped);
        };

        let weights = folder.join("model.bpk");
        save(&student, &origin, &weights)?;
        let seconds: f64 = stages.iter().map(|stage| stage.seconds).sum();
        let subject = Subject::new(Role::Distilled, seed);
        let trained = self.evaluate(&subject, student, &weights, runner.prepared + seconds)?;
        let trained = self.with_packed_size(trained)?;
        Ok(Progress::Done(Trained { stages, ..trained }))
    }
}

/// Runner of the stages of one seed.
struct StageRunner<'a> {
    experiment: &'a Experiment<'a>,
    seed: u64,
    /// Teacher, from which parts of the student may be copied.
    teacher: AnyNetwork,
    curriculum: Curriculum,
    /// Wrapped student, if a loss of a stage needs one.
    changed: Option<AnyNetwork>,
    /// Duration of the preparations of losses in seconds, over all runs.
    prepared: f64,
}

/// Specification of a stage.
struct StageSpec<'a> {
    name: String,
    training: &'a TrainingRecipe,
    trains: Trains,
    losses: &'a [Table],
    teacher: AnyNetwork,
    identity: TeacherIdentity,
}

impl StageRunner<'_> {
    fn by_stages(&mut self, teacher: &Trained) -> Result<Progress<()>> {
        let recipe = self.experiment.recipe;
        let identity = self.experiment.teacher_identity(self.seed)?;
        for stage in &recipe.stages {
            or_stopped!(self.run(StageSpec {
                name: stage.name.clone(),
                training: &stage.training(&recipe.student.training),
                trains: stage.trains,
                losses: &stage.losses,
                teacher: teacher.network.clone(),
                identity: identity.clone(),
            })?);
        }
        Ok(Progress::Done(()))
    }

    fn along(&mut self, recipe: &RouteRecipe) -> Result<Progress<()>> {
        let epochs = self.experiment.recipe.student.training.epochs;
        let anchors = Anchors::of(self.experiment, self.seed)?;
        let route = Route::new(anchors.count(), epochs);
        match recipe.by {
            RouteBy::Interval => {
                for stage in route.anchor_stages() {
                    or_stopped!(self.follow(stage, &anchors)?);
                }
            }
            RouteBy::Hardness => {
                let ratio = recipe.ratio.context("route.ratio")?;
                let (mut next, mut done) = (Some(route.start()), 0);
                while let Some(stage) = next {
                    or_stopped!(self.follow(stage, &anchors)?);
                    done += stage.epochs;
                    let hardness = self.hardness(&anchors, stage.anchor)?;
                    next = route.next(done, stage.anchor, &hardness, ratio);
                }
            }
        }
        Ok(Progress::Done(()))
    }

    fn follow(&mut self, stage: AnchorStage, anchors: &Anchors<'_>) -> Result<Progress<()>> {
        let recipe = self.experiment.recipe;
        self.run(StageSpec {
            name: format!("anchor-{}", stage.anchor + 1),
            training: &TrainingRecipe {
                epochs: stage.epochs,
                ..recipe.student.training.clone()
            },
            trains: Trains::All,
            losses: &recipe.losses,
            teacher: anchors.load(stage.anchor)?,
            identity: anchors.identity(stage.anchor)?,
        })
    }

    /// Returns the hardness of an anchor and of each later one for the current student.
    fn hardness(&self, anchors: &Anchors<'_>, from: usize) -> Result<Vec<f64>> {
        let loader = self
            .experiment
            .data
            .validation_loader(self.experiment.device);
        let student = self.student()?.valid();
        (from..anchors.count())
            .map(|place| Ok(hardness(&student, &anchors.load(place)?, &loader)?))
            .collect()
    }

    fn run(&mut self, spec: StageSpec<'_>) -> Result<Progress<()>> {
        let Experiment { data, stop, .. } = self.experiment;
        if stop.is_requested() {
            return Ok(Progress::Stopped);
        }
        let place = self.curriculum.stages().len();
        let student = self.student()?;
        let tables = (spec.losses, spec.training.batch_size);
        // The same labels in each stage, but other random numbers.
        let draws = (self.seed, place);
        let losses = self
            .experiment
            .losses(draws, tables, &student, &spec.teacher);
        let networks = (&student, &spec.teacher);
        let prepared = or_stopped!(self.experiment.prepare(
            self.seed,
            spec.training,
            losses?,
            networks,
            self.curriculum.renderer()
        )?);
        self.prepared += prepared.seconds;
        let mut losses = prepared.losses;
        for loss in &mut losses {
            let learned = artifact(&loss.name);
            if parameter_count(&loss.objective) > 0 && self.curriculum.has(&learned) {
                loss.objective = self.curriculum.load(&learned, &loss.objective)?;
            }
        }

        let stage = Stage::new(spec.name, spec.training.epochs)
            .with_optimizer(spec.training.optimizer.clone())
            .with_learning_rate(spec.training.learning_rate.clone())
            .with_patience(spec.training.patience)
            .with_teacher(Some(spec.identity))
            .with_metrics(metrics(&losses, data));
        let student = match student_of(&losses)? {
            Some(changed) => {
                let changed = changed.to_device(self.experiment.device);
                self.changed.insert(changed).clone()
            }
            None => student,
        };
        let student = match spec.trains {
            Trains::All => student,
            Trains::Objective => DynNetwork::new(Frozen::new(student)),
        };
        let (names, objective): (_, Vec<_>) = losses
            .iter()
            .map(|loss| (artifact(&loss.name), loss.objective.clone()))
            .unzip();
        let views = objective.requirements().views;
        let teacher = Frozen::new(spec.teacher)
            .with_training_mode(self.experiment.recipe.teaches_in_training_mode(0));
        let distiller = OfflineDistiller::new(student, teacher, objective);
        let distiller = NamedDistiller {
            distiller: clipped(distiller, &losses),
            names,
        };
        let loader = data
            .for_stage(spec.training, self.seed, place)?
            .views(views);
        match self.curriculum.run(stage, distiller, data.loaders(loader)) {
            Ok(_) => Ok(Progress::Done(())),
            Err(CurriculumError::Stopped { .. }) => Ok(Progress::Stopped),
            Err(error) => Err(Subject::new(Role::Distilled, self.seed).stage_error(error)),
        }
    }

    /// Returns the student after the stages so far.
    fn student(&self) -> Result<AnyNetwork> {
        let student = match &self.changed {
            Some(changed) => changed.clone(),
            None => self.experiment.student(self.seed, &self.teacher)?,
        };
        Ok(match self.curriculum.has("student") {
            true => self.curriculum.load("student", &student)?,
            false => student,
        })
    }
}

/// Returns the metadata of the files of a stage, given the origin of its student.
fn of_artifact(student: Provenance) -> impl Fn(&str) -> BTreeMap<String, String> {
    move |name| match name {
        "student" => student.metadata(),
        // The module of a loss is not a network, and its metadata does not name a model.
        part => Provenance {
            model: part.to_string(),
            ..student.clone()
        }
        .metadata(),
    }
}

/// Returns the name of the artifact with the parameters of a loss.
fn artifact(loss: &str) -> String {
    format!("loss-{loss}")
}

/// Snapshots of the teacher along its training.
struct Anchors<'a> {
    experiment: &'a Experiment<'a>,
    seed: u64,
    snapshots: Snapshots,
}

impl<'a> Anchors<'a> {
    fn of(experiment: &'a Experiment<'a>, seed: u64) -> Result<Self> {
        Ok(Self {
            experiment,
            seed,
            snapshots: Snapshots::of(experiment.phase_folder(Role::Teacher(0), seed))?,
        })
    }

    fn count(&self) -> usize {
        self.snapshots.epochs().len()
    }

    fn load(&self, place: usize) -> Result<AnyNetwork> {
        let teacher = self.experiment.recipe.first_teacher()?;
        let model = teacher
            .model
            .as_ref()
            .context("a route has a `teacher.model`")?;
        let network = self.experiment.build(model, self.seed)?;
        // The snapshot is that of the distiller.
        let distiller = OfflineDistiller::without_teacher(network, CrossEntropyObjective::new(1.0));
        let epoch = self.snapshots.epochs()[place];
        Ok(self.snapshots.load(epoch, &distiller)?.student)
    }

    fn identity(&self, place: usize) -> Result<TeacherIdentity> {
        let path = self.snapshots.path(self.snapshots.epochs()[place]);
        // The checksum of the weights, not of the file: a teacher that is trained again has other
        // parameter ids.
        let sha256 = WeightsFile::read(&path)?.checksum();
        Ok(TeacherIdentity { path, sha256 })
    }
}

/// Distiller whose losses save their parameters under their names instead of their positions.
#[derive(Module, Debug)]
struct NamedDistiller {
    distiller: OfflineDistiller<AnyNetwork, Frozen<AnyNetwork>, Vec<DynObjective>>,
    names: Vec<String>,
}

impl StageArtifacts for NamedDistiller {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        let student = self.distiller.student.valid().into_record();
        let objectives = self.names.iter().zip(&self.distiller.objective);
        let learned =
            objectives.map(|(name, objective)| (name.clone(), objective.valid().into_record()));
        [("student".to_string(), student)]
            .into_iter()
            .chain(learned)
            .collect()
    }
}

impl Distillation for NamedDistiller {
    type Input = AnyInput;

    fn forward(&self, batch: &Batch<AnyInput>) -> DistillationOutput {
        self.distiller.forward(batch)
    }

    fn training_step(&self, batch: Batch<AnyInput>) -> TrainOutput<DistillationOutput> {
        self.distiller.training_step(batch)
    }
}

learner_model!([] NamedDistiller);
