use super::journal::Journal;
use super::{CurriculumError, Stage, StageArtifacts, StageRecord};
use crate::training::file::{load_module, remove_partials};
use crate::{Distiller, EpochLoader, History, Trained, WeightsFile, file_sha256};
use burn::module::{Module, ParamGroup};
use burn::tensor::Device;
use burn::train::Interrupter;
use burn::train::metric::store::Split;
use burn::train::renderer::MetricsRenderer;
use burn_distill_core::{Input, initialize, nearest};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A function from the name of an artifact to the metadata of its file.
type Metadata = dyn Fn(&str) -> BTreeMap<String, String>;

/// A sequence of training stages, each of which can load the results of earlier stages: hints
/// before distillation, teacher assistants, routes along a teacher's training, generations.
///
/// A curriculum is a folder, with a folder for each stage. A stage saves the
/// [parts](StageArtifacts) of its model there by name, as artifacts. The journal,
/// `curriculum.json`, lists the stages that were started and finished, with their results. To
/// continue a program that was stopped in any way, run it again: finished stages are not trained
/// again, an unfinished stage continues from its last epoch, and the result equals that of an
/// uninterrupted program.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{Frozen, CrossEntropyObjective, Network, Objective};
/// use burn_distill_data::BatchLoader;
/// use burn_distill_strategy::{Curriculum, CurriculumError, OfflineDistiller, Stage};
///
/// /// Hints first, then distillation, with a fresh optimizer and schedule.
/// fn two_stages<N: Network<Input = Tensor<4>>>(
///     new_student: impl Fn() -> N,
///     teacher: Frozen<N>,
///     hints: impl Objective,
///     soft_targets: impl Objective,
///     loaders: (BatchLoader, BatchLoader),
/// ) -> Result<N, CurriculumError> {
///     let mut curriculum = Curriculum::open("runs/hints", &Device::default())?;
///
///     let distiller = OfflineDistiller::new(new_student(), teacher.clone(), hints);
///     curriculum.run(Stage::new("hints", 30), distiller, loaders.clone())?;
///
///     let student = curriculum.load("student", &new_student())?;
///     let objective = (CrossEntropyObjective::new(0.1), soft_targets);
///     let distiller = OfflineDistiller::new(student, teacher, objective);
///     curriculum.run(Stage::new("distillation", 60), distiller, loaders)?;
///
///     curriculum.load("student", &new_student())
/// }
/// ```
pub struct Curriculum {
    folder: PathBuf,
    device: Device,
    journal: Journal,
    /// Number of stages that this program has finished or found finished.
    passed: usize,
    label: Option<String>,
    metadata: Box<Metadata>,
    interrupter: Interrupter,
    renderer: Option<Box<dyn MetricsRenderer>>,
}

impl Curriculum {
    /// Opens the curriculum in a folder, which is created if it does not exist. Its stages train on
    /// `device`.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be created, or if its journal cannot be read.
    pub fn open(folder: impl Into<PathBuf>, device: &Device) -> Result<Self, CurriculumError> {
        let folder = folder.into();
        create_folder(&folder)?;
        remove_partials(&folder).map_err(|source| CurriculumError::Io {
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            journal: Journal::read(&folder)?,
            folder,
            device: device.clone(),
            passed: 0,
            label: None,
            metadata: Box::new(|_| BTreeMap::new()),
            interrupter: Interrupter::new(),
            renderer: None,
        })
    }

    /// Sets the text before the name of a stage in the display.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the [metadata](WeightsFile::with_metadata) of the file of each artifact, given its
    /// name. Default: none.
    pub fn with_metadata(
        mut self,
        metadata: impl Fn(&str) -> BTreeMap<String, String> + 'static,
    ) -> Self {
        self.metadata = Box::new(metadata);
        self
    }

    /// Sets the handle that stops the curriculum on request.
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.interrupter = interrupter;
        self
    }

    /// Sets the display of all stages. Default: a few [lines](crate::Lines) for each.
    pub fn with_renderer(mut self, renderer: Option<Box<dyn MetricsRenderer>>) -> Self {
        self.renderer = renderer;
        self
    }

    /// Returns the display, which the program may use between two stages and must put back.
    pub fn renderer(&mut self) -> &mut Option<Box<dyn MetricsRenderer>> {
        &mut self.renderer
    }

    /// Runs the next stage: trains the model and saves its parts, unless an earlier run has done
    /// so.
    ///
    /// # Errors
    ///
    /// Returns an error if the training fails, if the journal has another stage at this position,
    /// or if a file cannot be written; and [`CurriculumError::Stopped`] if the stage was stopped on
    /// request.
    pub fn run<M, I>(
        &mut self,
        stage: Stage,
        model: M,
        loaders: (impl EpochLoader<I>, impl EpochLoader<I>),
    ) -> Result<StageRecord, CurriculumError>
    where
        I: Input,
        M: Distiller<I> + StageArtifacts,
    {
        let place = self.passed;
        let is_new = place >= self.journal.stages.len();
        let record = self.journal.begin(place, &stage.name, stage.epochs)?;
        if !record.finished {
            if self.interrupter.should_stop() {
                return Err(stopped(record));
            }
            // Files in the folder of a stage that the journal does not list belong to another
            // training.
            self.train(place, &stage, model, loaders, !is_new)?;
        }
        self.passed += 1;
        Ok(self.journal.stages[place].clone())
    }

    /// Loads the artifact with this name into a copy of `module`, which is returned in validation
    /// mode.
    ///
    /// If several stages have saved an artifact with this name, the last one counts. Stages that
    /// this program has not reached yet do not count, even if an earlier run has finished them.
    /// `module` itself does not change.
    ///
    /// # Errors
    ///
    /// Returns an error with the file and its stage if there is no such artifact, or if it does not
    /// fit the module.
    pub fn load<M: Module>(&self, name: &str, module: &M) -> Result<M, CurriculumError> {
        let Some(stage) = self.stage_of(name) else {
            return Err(self.unknown_artifact(name));
        };
        let path = artifact(&self.folder.join(&stage.name), name);
        let expected = stage.sha256.get(name).cloned();
        let (stage, name) = (stage.name.clone(), name.to_string());
        if !path.exists() {
            return Err(CurriculumError::MissingArtifact { path, stage, name });
        }
        let loaded = match load_module(&path, module) {
            Ok(loaded) => loaded,
            Err(message) => {
                return Err(CurriculumError::Artifact {
                    path,
                    stage,
                    name,
                    message,
                });
            }
        };
        // Weights that fit may still belong to another training.
        let found = checksum(&path)?;
        match expected {
            Some(expected) if expected != found => Err(CurriculumError::OtherArtifact {
                path,
                stage,
                name,
                expected,
                found,
            }),
            _ => Ok(loaded),
        }
    }

    /// Returns whether a stage so far has saved an artifact with this name.
    pub fn has(&self, name: &str) -> bool {
        self.stage_of(name).is_some()
    }

    /// Returns the stages that this program has finished or found finished.
    pub fn stages(&self) -> &[StageRecord] {
        &self.journal.stages[..self.passed]
    }

    /// Returns the device on which the stages train.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn stage_of(&self, name: &str) -> Option<&StageRecord> {
        let mut latest = self.stages().iter().rev();
        latest.find(|stage| stage.artifacts.iter().any(|artifact| artifact == name))
    }

    fn unknown_artifact(&self, name: &str) -> CurriculumError {
        let artifacts = self.stages().iter().flat_map(|stage| &stage.artifacts);
        let mut known: Vec<_> = artifacts.map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        let known = match (known.as_slice(), nearest(name, known.iter().copied())) {
            ([], _) => "or any other artifact".into(),
            (known, None) => format!("only {}", known.join(", ")),
            (known, Some(near)) => format!("only {}: did you mean `{near}`?", known.join(", ")),
        };
        let name = name.into();
        CurriculumError::UnknownArtifact { name, known }
    }

    fn train<M, I>(
        &mut self,
        place: usize,
        stage: &Stage,
        model: M,
        loaders: (impl EpochLoader<I>, impl EpochLoader<I>),
        resume: bool,
    ) -> Result<(), CurriculumError>
    where
        I: Input,
        M: Distiller<I> + StageArtifacts,
    {
        let folder = self.folder.join(&stage.name);
        create_folder(&folder)?;
        let label = match &self.label {
            Some(label) => format!("{label} {}", stage.name),
            None => stage.name.clone(),
        };
        let model = match &stage.trains {
            // Clones share parameters that are not initialized yet, including whether they are
            // frozen.
            Some(group) => initialize(model).freeze_group(all_but(group)),
            None => model,
        };

        let start = Instant::now();
        let trained = stage
            .training(&folder, &self.device)
            .with_label(label)
            .with_resume(resume)
            .with_interrupter(self.interrupter.clone())
            .with_renderer(self.renderer.take())
            .launch(model, &stage.optimizer, &stage.rate, loaders)
            .map_err(|source| CurriculumError::Training {
                stage: stage.name.clone(),
                source: Box::new(source),
            })?;
        let Trained {
            model,
            epoch,
            stopped: was_stopped,
            renderer,
        } = trained;
        self.renderer = Some(renderer);

        let history = folder.join("history.csv");
        let history = History::up_to(&history, epoch).map_err(|source| CurriculumError::Io {
            path: history,
            source,
        })?;
        let record = &mut self.journal.stages[place];
        record.epochs = epoch;
        record.seconds += start.elapsed().as_secs_f64();
        record.train = history.at(epoch, &Split::Train);
        record.valid = history.at(epoch, &Split::Valid);
        if !was_stopped {
            // Before the journal is written: the files of a finished stage must all exist.
            record.artifacts = save_artifacts(&folder, &model, &self.metadata)?;
            let names = record.artifacts.iter();
            record.sha256 = names
                .map(|name| Ok((name.clone(), checksum(&artifact(&folder, name))?)))
                .collect::<Result<_, CurriculumError>>()?;
            record.finished = true;
        }
        self.journal.write()?;
        if was_stopped {
            return Err(stopped(&self.journal.stages[place]));
        }
        Ok(())
    }
}

fn stopped(stage: &StageRecord) -> CurriculumError {
    CurriculumError::Stopped {
        stage: stage.name.clone(),
        epoch: stage.epochs,
        epochs: stage.planned,
    }
}

fn all_but(group: &ParamGroup) -> ParamGroup {
    ParamGroup::all().exclude(group.clone())
}

/// Returns the file of an artifact in the folder of its stage.
fn artifact(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.bpk"))
}

/// Returns the SHA-256 of a file, in hexadecimal.
fn checksum(path: &Path) -> Result<String, CurriculumError> {
    file_sha256(path).map_err(|source| CurriculumError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Saves the parts of a model that have weights, and returns their names.
fn save_artifacts<M: StageArtifacts>(
    folder: &Path,
    model: &M,
    metadata: &Metadata,
) -> Result<Vec<String>, CurriculumError> {
    let mut saved = Vec::new();
    for (name, record) in model.artifacts() {
        if record.is_empty() {
            continue;
        }
        let path = artifact(folder, &name);
        let file = WeightsFile::new(record).map_err(|error| CurriculumError::Io {
            path: path.clone(),
            source: io::Error::other(error),
        })?;
        let metadata = metadata(&name).into_iter();
        let file = metadata.fold(file, |file, (key, text)| file.with_metadata(key, text));
        file.write(&path)?;
        saved.push(name);
    }
    Ok(saved)
}

fn create_folder(path: &Path) -> Result<(), CurriculumError> {
    fs::create_dir_all(path).map_err(|source| CurriculumError::Io {
        path: path.to_path_buf(),
        source,
    })
}
