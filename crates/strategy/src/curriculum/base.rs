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

/// The metadata of the file of an artifact, by the name of the artifact.
type Metadata = dyn Fn(&str) -> BTreeMap<String, String>;

/// Several trainings, one after the other, of which each goes on with what earlier ones have left:
/// hints before distillation, a teacher's side before the student, assistants, routes, generations.
///
/// A curriculum is a folder. Every stage trains in a folder of its own in it and leaves the
/// [parts](StageArtifacts) of its model there, by name. The journal, `curriculum.json`, tells which stages
/// were begun and finished, and with what result. The program that is stopped, in any way, is run
/// again as it is: a finished stage is not trained again, an unfinished one goes on from its last
/// epoch, and the result is that of a program that was never stopped.
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
    /// How many stages this program has come past.
    passed: usize,
    label: Option<String>,
    metadata: Box<Metadata>,
    interrupter: Interrupter,
    renderer: Option<Box<dyn MetricsRenderer>>,
}

impl Curriculum {
    /// The curriculum in a folder, which is made if need be, with its stages on `device`.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be made, or if its journal cannot be read.
    pub fn open(folder: impl Into<PathBuf>, device: &Device) -> Result<Self, CurriculumError> {
        let folder = folder.into();
        make_folder(&folder)?;
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

    /// What stands before the name of a stage when it is displayed.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the [metadata](WeightsFile::with_metadata) of the file of each artifact, by its name.
    /// Default: none.
    pub fn with_metadata(
        mut self,
        metadata: impl Fn(&str) -> BTreeMap<String, String> + 'static,
    ) -> Self {
        self.metadata = Box::new(metadata);
        self
    }

    /// The handle that stops it on request.
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.interrupter = interrupter;
        self
    }

    /// The display of all stages. Default: a few [lines](crate::Lines) for each.
    pub fn with_renderer(mut self, renderer: Option<Box<dyn MetricsRenderer>>) -> Self {
        self.renderer = renderer;
        self
    }

    /// The display, for what the same program shows next; a stage takes the one that is given back.
    pub fn renderer(&mut self) -> &mut Option<Box<dyn MetricsRenderer>> {
        &mut self.renderer
    }

    /// Run the next stage, unless an earlier run has finished it: train the model and save its
    /// parts.
    ///
    /// # Errors
    ///
    /// Returns an error if the training fails, if the journal tells of another stage in this place,
    /// or if a file cannot be written; and [`CurriculumError::Stopped`] if it was stopped on request.
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
            // What lies in the folder of a stage that the journal does not know is not its own.
            self.train(place, &stage, model, loaders, !is_new)?;
        }
        self.passed += 1;
        Ok(self.journal.stages[place].clone())
    }

    /// A module with the weights that the last stage to leave some under that name has left, in
    /// validation mode.
    ///
    /// The module that is given says what to load; it stays as it is. Stages that this program has
    /// not come to yet do not count, also if an earlier run has finished them.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file and its stage if there is no such artifact, or if it
    /// does not fit.
    pub fn load<M: Module>(&self, name: &str, module: &M) -> Result<M, CurriculumError> {
        let Some(stage) = self.stage_that_left(name) else {
            return Err(self.unknown(name));
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
        // Weights that fit may still be those of another training.
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

    /// Whether a stage so far has left an artifact of that name.
    pub fn has(&self, name: &str) -> bool {
        self.stage_that_left(name).is_some()
    }

    /// The stages that this program has come past.
    pub fn stages(&self) -> &[StageRecord] {
        &self.journal.stages[..self.passed]
    }

    fn stage_that_left(&self, name: &str) -> Option<&StageRecord> {
        let mut latest = self.stages().iter().rev();
        latest.find(|stage| stage.artifacts.iter().any(|artifact| artifact == name))
    }

    fn unknown(&self, name: &str) -> CurriculumError {
        let artifacts = self.stages().iter().flat_map(|stage| &stage.artifacts);
        let mut known: Vec<_> = artifacts.map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        let known = match (known.as_slice(), nearest(name, known.iter().copied())) {
            ([], _) => "nor anything else".into(),
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
        make_folder(&folder)?;
        let label = match &self.label {
            Some(label) => format!("{label} {}", stage.name),
            None => stage.name.clone(),
        };
        let model = match &stage.trains {
            // Clones share what is not drawn yet, also whether it is frozen.
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
            // Before the journal says so: what it calls finished is all there.
            record.artifacts = save_parts(&folder, &model, &self.metadata)?;
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

/// The file of an artifact in the folder of its stage.
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

/// Saves the parts that have weights, and returns their names.
fn save_parts<M: StageArtifacts>(
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

fn make_folder(path: &Path) -> Result<(), CurriculumError> {
    fs::create_dir_all(path).map_err(|source| CurriculumError::Io {
        path: path.to_path_buf(),
        source,
    })
}
