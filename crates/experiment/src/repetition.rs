use super::clip::clipped;
use super::diverged::{Subject, noted};
use super::experiment::{Experiment, Progress, Renderer, Trained, metrics, or_stopped};
use super::given_teacher::GivenTeacher;
use super::phase::Phase;
use super::role::Role;
use super::training_batches::Loader;
use anyhow::{Context, Result};
use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn_distill::core::{CrossEntropyObjective, DynNetwork, Frozen, Objective, Seed};
use burn_distill::interchange::PlacedClasses;
use burn_distill::strategy::{MetricKind, OfflineDistiller, Snapshots};
use burn_distill_recipe::{
    AnyNetwork, OnnxRecipe, Place, TeacherRecipe, TeacherSetting, TeacherSource, TrainingRecipe,
    student_of,
};

/// Trained networks of one seed: the teacher, if there is one, the baseline and the distilled
/// student.
pub struct Repetition {
    /// Teacher, or the first of several.
    pub teacher: Option<Trained>,
    /// Further teachers.
    pub others: Vec<Trained>,
    /// Student, trained on its labels without a teacher, if there are labels.
    pub baseline: Option<Trained>,
    /// Distilled student.
    pub distilled: Trained,
}

impl Experiment<'_> {
    /// Runs one repetition. Networks that an earlier run has finished are loaded.
    ///
    /// # Errors
    ///
    /// Returns an error if a training or an evaluation fails. If a network has become NaN or
    /// infinite, `result.json` records it.
    pub(super) fn repeat(
        &self,
        seed: u64,
        renderer: &mut Renderer,
    ) -> Result<Progress<Repetition>> {
        self.train_all(seed, renderer)
            .map_err(|error| noted(error, self.folder))
    }

    fn train_all(&self, seed: u64, renderer: &mut Renderer) -> Result<Progress<Repetition>> {
        let teachers = self.recipe.teachers();
        let mut trained = Vec::with_capacity(teachers.len());
        for (index, recipe) in teachers.iter().enumerate() {
            trained.push(or_stopped!(self.teacher(seed, index, recipe, renderer)?));
        }
        let baseline = match self.data.has_labels() {
            true => Some(or_stopped!(self.baseline(seed, renderer)?)),
            false => None,
        };
        let distilled = or_stopped!(match trained.as_slice() {
            [] => {
                let baseline = baseline.as_ref();
                let baseline = baseline.context("a strategy without a teacher needs labels")?;
                self.distilled_by_strategy(seed, baseline, renderer)?
            }
            [teacher, ..] if self.recipe.strategy.options().without_data().is_some() =>
                self.distilled_without_data(seed, teacher, renderer)?,
            [teacher] => match self.recipe.strategy.options().assistants() {
                Some(plan) => self.distilled_by_assistants(seed, teacher, &plan, renderer)?,
                None => self.distilled(seed, teacher, renderer)?,
            },
            teachers => self.distilled_by_several(seed, teachers, renderer)?,
        });
        let mut trained = trained.into_iter();
        Ok(Progress::Done(Repetition {
            teacher: trained.next(),
            others: trained.collect(),
            baseline,
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
        let known = recipe.known_classes(self.data.classes());
        let known = known.at(&TeacherRecipe::place(index))?;
        let knowing = |network| knowing(network, known.as_deref(), self.data.classes().len());
        let (model, training) = match recipe.source()? {
            TeacherSource::Trained(model, training) => (model, training),
            TeacherSource::Weights(model, file) => {
                let registry = &self.recipe.registry;
                let given =
                    GivenTeacher::load(registry, model, recipe, file, self.data, self.device)?;
                let subject = Subject::new(Role::Teacher(index), seed);
                let network = knowing(given.network);
                let teacher = self.evaluate(&subject, network, file, 0.0)?;
                return Ok(Progress::Done(teacher));
            }
            TeacherSource::Onnx(onnx) => return self.teacher_of_file(seed, index, onnx, knowing),
        };
        // Every teacher begins from other weights and is trained on another order of the samples.
        let own = Seed::new(seed).teacher(index);
        let network = knowing(self.build(model, own.teacher_weights())?);
        let (samples, validation) =
            self.data
                .for_teacher(training, own.value(), known.as_deref())?;
        let metrics = [MetricKind::Loss, MetricKind::Accuracy];
        let epochs = training.epochs;
        let route = self.recipe.route.iter();
        self.train(Phase {
            role: Role::Teacher(index),
            seed,
            model,
            training,
            loaders: (samples.into(), validation),
            teacher: None,
            metrics: metrics.into(),
            snapshots: route
                .flat_map(|route| Snapshots::equally_spaced(route.anchors, epochs))
                .collect(),
            best_epoch: self.teaches_by_best_epoch(),
            distiller: OfflineDistiller::without_teacher(network, CrossEntropyObjective::new(1.0)),
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }

    /// Evaluates a teacher in an ONNX file.
    fn teacher_of_file(
        &self,
        seed: u64,
        index: usize,
        onnx: &OnnxRecipe,
        knowing: impl Fn(AnyNetwork) -> AnyNetwork,
    ) -> Result<Progress<Trained>> {
        let loaded = self.data.onnx(onnx, self.device)?;
        let subject = Subject::new(Role::Teacher(index), seed);
        let network = knowing(loaded.network);
        let mut teacher = self.evaluate(&subject, network, &onnx.file, 0.0)?;
        teacher.cost.parameters = loaded.parameters;
        teacher.cost.bytes = 0;
        for file in &loaded.files {
            teacher.cost.bytes += file.metadata()?.len();
        }
        Ok(Progress::Done(teacher))
    }

    fn baseline(&self, seed: u64, renderer: &mut Renderer) -> Result<Progress<Trained>> {
        let recipe = &self.recipe.student;
        let network = recipe.quantized(self.build(&recipe.model, seed)?)?;
        let metrics = [MetricKind::Loss, MetricKind::Accuracy];
        self.train(Phase {
            role: Role::Baseline,
            seed,
            model: &recipe.model,
            training: &recipe.training,
            loaders: self.data.loaders(self.for_baseline(seed)?),
            teacher: None,
            metrics: metrics.into(),
            snapshots: Vec::new(),
            best_epoch: false,
            distiller: OfflineDistiller::without_teacher(network, CrossEntropyObjective::new(1.0)),
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
            renderer,
        })
    }

    /// Returns the training samples of the baseline, for the same number of steps as the distilled
    /// student takes.
    fn for_baseline(&self, seed: u64) -> Result<Loader> {
        let training = &self.recipe.student.training;
        let strategy = self.recipe.strategy.options();
        match self.data.labeled_per_batch(strategy, training, seed)? {
            0 => self.data.for_baseline(training, seed),
            _ => {
                let samples = self.for_distilled(training, seed)?.num_items();
                self.data.for_baseline_repeated(training, seed, samples)
            }
        }
    }

    /// Trains the student by distillation from one trained teacher.
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
        let network = self.student(seed, &teacher.network)?;
        let tables = (&self.recipe.losses[..], recipe.training.batch_size);
        let losses = self.losses((seed, 0), tables, &network, &teacher.network)?;
        let networks = (&network, &teacher.network);
        let prepared =
            or_stopped!(self.prepare(seed, &recipe.training, losses, networks, renderer)?);
        let preparations = prepared.seconds;
        let losses = prepared.losses;
        let network = match student_of(&losses)? {
            Some(student) => student.to_device(self.device),
            None => network,
        };
        let metrics = metrics(&losses, self.data);
        let objective = losses.iter().map(|loss| loss.objective.clone());
        let objective: Vec<_> = objective.collect();
        let views = objective.requirements().views;
        let teacher = Frozen::new(teacher.network.clone())
            .with_training_mode(self.recipe.teaches_in_training_mode(0));
        let options = self.recipe.strategy.options();
        if options.has_distiller() {
            let kinds = self.recipe.registry.losses();
            let tables = self.recipe.losses.iter().zip(&losses);
            let of_targets = tables.filter(|(table, _)| kinds.is_of_targets(table));
            let setting = TeacherSetting {
                student: network,
                teacher,
                objective,
                of_targets: of_targets.map(|(_, loss)| loss.name.clone()).collect(),
                classes: self.data.task().classes,
                training: &recipe.training,
                device: self.device,
            };
            // Other random numbers than those of the networks and losses.
            let seed_of_distiller = Seed::new(seed).network(1).losses();
            let prepared =
                burn_distill_recipe::seeded(seed_of_distiller, || options.distiller(setting));
            let prepared = prepared.context("the strategy has a distiller")?;
            let training = TrainingRecipe {
                optimizer: options.optimizer(&recipe.training.optimizer),
                ..recipe.training.clone()
            };
            let trained = self.train(Phase {
                role: Role::Distilled,
                seed,
                model: &recipe.model,
                training: &training,
                loaders: self.data.loaders(self.data.for_distilled(&training, seed)?),
                teacher: Some(self.teacher_identity(seed)?),
                metrics: metrics.into_iter().chain(prepared.metrics).collect(),
                snapshots: Vec::new(),
                best_epoch: false,
                distiller: prepared.distiller,
                finalize: prepared.finalize,
                renderer,
            })?;
            let trained = or_stopped!(trained);
            return Ok(Progress::Done(Trained {
                seconds: preparations + trained.seconds,
                ..trained
            }));
        }
        let distiller = OfflineDistiller::new(network, teacher, objective);

        let trained = or_stopped!(
            self.train(Phase {
                role: Role::Distilled,
                seed,
                model: &recipe.model,
                training: &recipe.training,
                loaders: self.data.loaders(
                    self.data
                        .for_distilled(&recipe.training, seed)?
                        .views(views),
                ),
                teacher: Some(self.teacher_identity(seed)?),
                metrics,
                snapshots: Vec::new(),
                best_epoch: false,
                distiller: clipped(distiller, &losses),
                finalize: Box::new(|distiller| Ok(distiller.student.into())),
                renderer,
            })?
        );
        Ok(Progress::Done(Trained {
            seconds: preparations + trained.seconds,
            ..trained
        }))
    }
}

/// Returns a teacher that knows only the given classes, if any are given.
fn knowing(network: AnyNetwork, known: Option<&[usize]>, classes: usize) -> AnyNetwork {
    match known {
        Some(known) => DynNetwork::new(PlacedClasses::only(network, known, classes)),
        None => network,
    }
}
