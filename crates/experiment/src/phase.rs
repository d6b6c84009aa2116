use super::diverged::Subject;
use super::experiment::{Experiment, Progress, Renderer, Trained, TrainedMember};
use super::provenance::Provenance;
use super::role::Role;
use super::training_batches::{Loader, TrainingBatches};
use super::weights::{load, save};
use anyhow::{Context, Result, anyhow, bail};
use burn_distill::core::Network;
use burn_distill::strategy::{
    CheckpointFolder, Distiller, MetricKind, Snapshots, TeacherIdentity, Training, file_sha256,
    write_atomically,
};
use burn_distill_recipe::{AnyInput, Finalize, ModelRecipe, Outcome, TrainingRecipe};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

/// One training of an experiment.
pub struct Phase<'a, M> {
    pub role: Role,
    pub seed: u64,
    pub model: &'a ModelRecipe,
    pub training: &'a TrainingRecipe,
    /// Training and validation samples.
    pub loaders: (TrainingBatches, Loader),
    pub teacher: Option<TeacherIdentity>,
    pub metrics: Vec<MetricKind>,
    /// Epochs after which a snapshot of the network is kept.
    pub snapshots: Vec<usize>,
    /// Whether the network is that of the epoch with the highest validation accuracy.
    pub best_epoch: bool,
    pub distiller: M,
    pub finalize: Finalize<M>,
    pub renderer: &'a mut Renderer,
}

/// Record of a training, beside its weights: whether it is finished, and its duration.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// Whether the training is finished.
    pub finished: bool,
    /// Duration so far in seconds, over all runs that were not killed.
    pub seconds: f64,
    /// SHA-256 of each file of weights of the finished training, in hexadecimal, by its path in the
    /// folder of the training. Empty in the record of an earlier version.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
}

/// File of the weights in the folder of a training.
pub const WEIGHTS: &str = "model.bpk";

/// File of the [`Record`] in the folder of a training.
pub const RECORD: &str = "training.json";

impl Experiment<'_> {
    /// Trains a network, or loads it if its training is finished.
    pub fn train<M>(&self, phase: Phase<'_, M>) -> Result<Progress<Trained>>
    where
        M: Distiller<AnyInput>,
    {
        let subject = Subject::new(phase.role, phase.seed);
        let folder = self.phase_folder(phase.role, phase.seed);
        let weights = folder.join(WEIGHTS);
        let record_file = folder.join(RECORD);
        let mut record = Record::read(&record_file)?;
        if record.finished {
            let mut outcome = deployed((phase.finalize)(phase.distiller)?);
            record.check(&folder, files_of(&outcome))?;
            if phase.teacher.is_some() {
                // It refuses a checkpoint with another teacher.
                CheckpointFolder::new(folder.join("checkpoint"), phase.teacher)?.manifest()?;
            }
            let model = phase.model.to_string();
            outcome.student = load(outcome.student, &model, &weights)?;
            for member in &mut outcome.members {
                let file = folder.join(member.file());
                member.network = load(member.network.clone(), &member.model, &file)?;
            }
            return self.evaluate_all(phase.role, &subject, outcome, &folder, record.seconds);
        }
        if self.stop.is_requested() {
            return Ok(Progress::Stopped);
        }
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;

        let start = Instant::now();
        let trained = Training::new(&folder, self.device, phase.training.epochs)
            .with_label(format!("seed {} {}", phase.seed, phase.role.name()))
            // A new run has a new folder: a checkpoint in the folder is one to resume.
            .with_resume(true)
            .with_patience(phase.training.patience)
            .with_teacher(phase.teacher)
            .with_metrics(phase.metrics)
            .with_snapshots(phase.snapshots.clone())
            .with_best_epoch(phase.best_epoch)
            .with_interrupter(self.stop.interrupter())
            .with_renderer(phase.renderer.take())
            .launch(
                phase.distiller,
                &phase.training.optimizer,
                &phase.training.learning_rate,
                phase.loaders,
            )
            .map_err(|error| subject.training_error(error))?;
        *phase.renderer = Some(trained.renderer);
        record.seconds += start.elapsed().as_secs_f64();
        if trained.stopped {
            record.write(&record_file)?;
            return Ok(Progress::Stopped);
        }
        let outcome = deployed((phase.finalize)(trained.model)?);
        for member in &outcome.members {
            let origin = self
                .data
                .provenance(&member.model, &member.name, phase.seed);
            save(&member.network, &origin, &folder.join(member.file()))?;
        }
        let origin = self
            .data
            .provenance(phase.model, phase.role.name(), phase.seed);
        let origin = Provenance {
            only_classes: self.known_classes(phase.role)?,
            ..origin
        };
        save(&outcome.student, &origin, &weights)?;
        let mut files = files_of(&outcome);
        if !phase.snapshots.is_empty() {
            let snapshots = Snapshots::of(&folder)?;
            let epochs = phase
                .snapshots
                .iter()
                .filter(|&&kept| kept <= trained.epoch);
            let paths = epochs.map(|&epoch| snapshots.path(epoch));
            files.extend(paths.filter_map(|path| {
                let path = path.strip_prefix(&folder).ok()?;
                Some(path.to_string_lossy().into_owned())
            }));
        }
        record.finish(&folder, files)?;
        record.write(&record_file)?;
        self.evaluate_all(phase.role, &subject, outcome, &folder, record.seconds)
    }

    /// Returns the classes that a teacher knows, if it knows some only.
    fn known_classes(&self, role: Role) -> Result<Option<Vec<usize>>> {
        let Role::Teacher(index) = role else {
            return Ok(None);
        };
        let teachers = self.recipe.teachers();
        teachers[index].known_classes(self.data.classes())
    }

    /// Evaluates the networks of a training, given the folder of their weights.
    fn evaluate_all(
        &self,
        role: Role,
        subject: &Subject,
        outcome: Outcome,
        folder: &Path,
        seconds: f64,
    ) -> Result<Progress<Trained>> {
        let Outcome { student, members } = outcome;
        let mut trained = self.evaluate(subject, student, &folder.join(WEIGHTS), seconds)?;
        // Teachers and assistants are not quantized.
        if !matches!(role, Role::Teacher(_) | Role::Assistant(_)) {
            trained = self.with_packed_size(trained)?;
        }
        for member in members {
            let weights = folder.join(member.file());
            let subject = Subject::named(&member.name, subject.seed);
            trained.members.push(TrainedMember {
                trained: self.evaluate(&subject, member.network, &weights, seconds)?,
                name: member.name,
                model: member.model,
            });
        }
        Ok(Progress::Done(trained))
    }
}

impl Record {
    /// Reads the record in a file; without a file, returns that of a training that was not started.
    pub fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| damaged(path)),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(damaged(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{}", path.display())),
        }
    }

    /// Records that the training is finished, with the checksums of its files.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the files cannot be read.
    pub fn finish(&mut self, folder: &Path, files: Vec<String>) -> Result<()> {
        let checksums = files.into_iter().map(|file| {
            let sha256 = checksum(folder, &file)?;
            Ok((file, sha256))
        });
        self.sha256 = checksums.collect::<Result<_>>()?;
        self.finished = true;
        Ok(())
    }

    /// Checks that these files and all others of the finished training exist and have not changed.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and what to do.
    pub fn check(&self, folder: &Path, files: Vec<String>) -> Result<()> {
        let files: BTreeSet<_> = files.iter().chain(self.sha256.keys()).collect();
        for file in files {
            let found = checksum(folder, file)?;
            if let Some(expected) = self.sha256.get(file)
                && *expected != found
            {
                bail!(
                    "{}: these are not the weights of this finished training: the file is damaged or \
                     belongs to another training, since its SHA-256 is {found}, but {expected} was \
                     expected; restore it, or remove the folder {} and continue with --resume to train \
                     again",
                    folder.join(file).display(),
                    folder.display()
                );
            }
        }
        Ok(())
    }

    /// Writes the record atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, serde_json::to_string_pretty(self)?.as_bytes())
            .with_context(|| format!("{}", path.display()))
    }
}

/// Returns the networks of a training as they are deployed.
fn deployed(mut outcome: Outcome) -> Outcome {
    outcome.student = outcome.student.deployed();
    for member in &mut outcome.members {
        member.network = member.network.clone().deployed();
    }
    outcome
}

/// Returns the error of a file that holds no record.
fn damaged(path: &Path) -> anyhow::Error {
    anyhow!(
        "{}: the file is empty or damaged; remove it, and the training continues from its last \
         checkpoint, or remove the folder {} to train again",
        path.display(),
        path.parent().unwrap_or(path).display()
    )
}

/// Returns the files of the networks of a training, in its folder.
fn files_of(outcome: &Outcome) -> Vec<String> {
    let members = outcome.members.iter().map(|member| member.file());
    members.chain([WEIGHTS.into()]).collect()
}

/// Returns the SHA-256 of a file of a finished training, in hexadecimal.
fn checksum(folder: &Path, file: &str) -> Result<String> {
    let path = folder.join(file);
    match file_sha256(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let remedy = match Path::new(file).parent() {
                // The last checkpoint has the networks, but no earlier ones.
                Some(parent) if parent.as_os_str().is_empty() => format!(
                    "remove {} and continue with --resume to take them from the last checkpoint",
                    folder.join(RECORD).display()
                ),
                _ => format!(
                    "remove the folder {} and continue with --resume to train again",
                    folder.display()
                ),
            };
            bail!(
                "{}: the weights of this finished training are missing; restore them, or {remedy}",
                path.display()
            )
        }
        read => read.with_context(|| format!("{}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_damaged_record_has_no_words_of_its_parser() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.json");
        for contents in [&b""[..], b"{", b"[]", b"\xff\xfe"] {
            fs::write(&path, contents).unwrap();
            let error = format!("{:#}", Record::read(&path).err().unwrap());
            let expected = format!(
                "{}: the file is empty or damaged; remove it",
                path.display()
            );
            assert!(error.starts_with(&expected), "{error}");
            assert!(!error.contains("line 1"), "{error}");
        }
    }
}
