use super::best::{BestEpochs, Value};
use super::checkpoint_error::CheckpointError;
use super::file;
use super::finite::non_finite_in_file;
use super::{Divergence, History, NonFinite, Snapshots, TeacherIdentity};
use crate::MetricKind;
use burn::lr_scheduler::LrSchedulerRecord;
use burn::optim::OptimizerRecord;
use burn::train::checkpoint::{
    Checkpoint, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn::train::metric::store::{Aggregate, EventStoreClient, Split};
use burn_distill_core::{
    file_sha256, partial_path as partial, publish_partial as publish, write_atomically,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The manifest of a checkpoint: its epoch, its teacher and the checksums of its files.
///
/// A checkpoint consists of three files: model (student and objective), optimizer and scheduler.
/// The manifest is written last and then renamed, so that a checkpoint with a manifest is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Last finished epoch, counted from 1.
    pub epoch: usize,
    /// Teacher of the training, if there is one.
    pub teacher: Option<TeacherIdentity>,
    /// SHA-256 of each file of the checkpoint by its name, and of the history up to this epoch, in
    /// hexadecimal. Empty for a checkpoint of an earlier version.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
}

/// The record of a divergence, a file beside the last good checkpoint of the training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Diverged {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Term or tensor that became NaN or infinite.
    pub term: NonFinite,
}

/// The minimum time between two checkpoints that wait for the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The name of the history among the checksums of a manifest.
const HISTORY: &str = "history";

/// The folder with the checkpoints of a training.
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    folder: PathBuf,
    teacher: Option<TeacherIdentity>,
    /// Folder of the snapshots, and the epochs that have one.
    snapshots: (PathBuf, BTreeSet<usize>),
    /// Best epochs so far, the last of which has a snapshot too, if that is requested.
    best: Option<BestEpochs>,
    /// Table of metrics that belongs to the checkpoints.
    history: Option<PathBuf>,
    /// Receiver of weights that are not finite.
    divergence: Divergence,
    /// Parts of incomplete checkpoints that are written, with their SHA-256, by epoch.
    parts: Arc<Mutex<BTreeMap<usize, BTreeMap<Part, String>>>>,
    /// Time of the last checkpoint that waited for the disk.
    synced: Arc<Mutex<Instant>>,
}

/// One of the files of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Model,
    Optimizer,
    Scheduler,
}

impl Part {
    const ALL: [Self; 3] = [Self::Model, Self::Optimizer, Self::Scheduler];

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Optimizer => "optimizer",
            Self::Scheduler => "scheduler",
        }
    }
}

impl CheckpointFolder {
    /// Opens a folder of checkpoints, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be created.
    pub fn new(
        folder: impl Into<PathBuf>,
        teacher: Option<TeacherIdentity>,
    ) -> Result<Self, CheckpointError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| CheckpointError::Io {
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            folder,
            teacher,
            snapshots: Default::default(),
            best: None,
            history: None,
            divergence: Divergence::default(),
            parts: Arc::default(),
            synced: Arc::new(Mutex::new(Instant::now())),
        })
    }

    /// Sets the folder of the snapshots, and the epochs that have one.
    pub(super) fn with_snapshots(mut self, folder: PathBuf, epochs: BTreeSet<usize>) -> Self {
        self.snapshots = (folder, epochs);
        self
    }

    /// Sets the best epochs so far, if the last of them has a snapshot.
    pub(super) fn with_best(mut self, best: Option<BestEpochs>) -> Self {
        self.best = best;
        self
    }

    /// Sets the table of metrics, whose checksum becomes part of the manifest.
    pub(super) fn with_history(mut self, history: PathBuf) -> Self {
        self.history = Some(history);
        self
    }

    /// Sets the receiver of weights that are NaN or infinite, which are not saved.
    pub(super) fn reporting_to(mut self, divergence: Divergence) -> Self {
        self.divergence = divergence;
        self
    }

    /// Returns the manifest of the last complete checkpoint, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the manifest cannot be read, or if its checkpoint belongs to another
    /// teacher.
    pub fn manifest(&self) -> Result<Option<Manifest>, CheckpointError> {
        let path = self.manifest_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let message = error.to_string();
                return Err(CheckpointError::Manifest { path, message });
            }
            Err(source) => return Err(CheckpointError::Io { path, source }),
        };
        let manifest: Manifest = match serde_json::from_str(&text) {
            Ok(manifest) => manifest,
            Err(error) => {
                let message = error.to_string();
                return Err(CheckpointError::Manifest { path, message });
            }
        };
        // Compares the weights and not the path, since the folder of a run may be moved.
        let hash = |teacher: &Option<TeacherIdentity>| teacher.as_ref().map(|t| t.sha256.clone());
        if hash(&manifest.teacher) != hash(&self.teacher) {
            return Err(CheckpointError::OtherTeacher {
                path,
                expected: manifest.teacher,
                found: self.teacher.clone(),
            });
        }
        Ok(Some(manifest))
    }

    /// Checks that the files of a checkpoint have the checksums of the manifest and can be read,
    /// since burn panics when it loads a file that cannot be read.
    ///
    /// # Errors
    ///
    /// Returns an error with the first file that is missing, damaged or of another training.
    pub(super) fn verify(&self, manifest: &Manifest) -> Result<(), CheckpointError> {
        let Manifest { epoch, sha256, .. } = manifest;
        for part in Part::ALL {
            let path = self.path(part, *epoch);
            self.compare(sha256.get(part.name()), file_sha256(&path), path.clone())?;
            // A checkpoint of an earlier version has no checksums.
            let read = match part {
                Part::Model => Ok(()), // Loading it into the model gives a better error.
                Part::Optimizer => OptimizerRecord::load(&path).map(drop),
                Part::Scheduler => LrSchedulerRecord::load(&path).map(drop),
            };
            read.map_err(|error| CheckpointError::Record {
                path,
                message: error.to_string(),
            })?;
        }
        match &self.history {
            None => Ok(()),
            Some(path) => {
                let found = History::up_to(path, *epoch).map(|history| history.sha256());
                self.compare(sha256.get(HISTORY), found, path.clone())
            }
        }
    }

    fn compare(
        &self,
        expected: Option<&String>,
        found: io::Result<String>,
        path: PathBuf,
    ) -> Result<(), CheckpointError> {
        let folder = self.folder.parent().unwrap_or(&self.folder).to_path_buf();
        let found = match found {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CheckpointError::Missing { path, folder });
            }
            Err(source) => return Err(CheckpointError::Io { path, source }),
        };
        match expected {
            Some(expected) if *expected != found => Err(CheckpointError::Damaged {
                path,
                folder,
                expected: expected.clone(),
                found,
            }),
            _ => Ok(()),
        }
    }

    /// Returns the record of the divergence that ended the training, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the file of the record cannot be read.
    pub(super) fn diverged(&self) -> Result<Option<Diverged>, CheckpointError> {
        let path = self.divergence_path();
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(diverged) => Ok(Some(diverged)),
                Err(error) => {
                    let message = error.to_string();
                    Err(CheckpointError::Diverged { path, message })
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CheckpointError::Io { path, source }),
        }
    }

    /// Records that the training diverged. The last checkpoint and the history up to it stay.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be written.
    pub(super) fn end_diverged(&self, diverged: &Diverged) -> Result<(), CheckpointError> {
        let path = self.divergence_path();
        let finished = diverged.epoch - 1;
        self.remove_records(|epoch| epoch > finished)
            .and_then(|()| match &self.history {
                Some(history) => History::up_to(history, finished)?.save(),
                None => Ok(()),
            })
            .and_then(|()| Ok(serde_json::to_vec_pretty(diverged)?))
            .and_then(|json| write_atomically(&path, &json))
            .map_err(|source| CheckpointError::Io { path, source })
    }

    /// Removes all checkpoints in the folder.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be removed.
    pub fn clear(&self) -> Result<(), CheckpointError> {
        // The manifest first: without it the other files are not a checkpoint.
        for path in [self.manifest_path(), self.divergence_path()] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(CheckpointError::Io { path, source });
                }
                _ => {}
            }
        }
        self.remove_records(|_| true)
            .map_err(|source| CheckpointError::Io {
                path: self.folder.clone(),
                source,
            })
    }

    pub(super) fn path(&self, part: Part, epoch: usize) -> PathBuf {
        self.folder.join(format!("{}-{epoch}.bpk", part.name()))
    }

    pub(super) fn part(&self, part: Part) -> PartCheckpointer {
        PartCheckpointer {
            folder: self.clone(),
            part,
        }
    }

    fn manifest_path(&self) -> PathBuf {
        self.folder.join("checkpoint.json")
    }

    fn divergence_path(&self) -> PathBuf {
        self.folder.join("diverged.json")
    }

    /// Saves a snapshot of the model, if the epoch has one.
    fn save_snapshot(&self, epoch: usize) -> io::Result<()> {
        let (folder, epochs) = &self.snapshots;
        let is_best = self.best.as_ref().is_some_and(|best| best.contains(epoch));
        if !epochs.contains(&epoch) && !is_best {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let snapshot = Snapshots::file(folder, epoch);
        fs::copy(self.path(Part::Model, epoch), partial(&snapshot))?;
        publish(&snapshot)
    }

    /// Removes the snapshots of epochs that were the best one before the best one up to an epoch.
    ///
    /// Snapshots of later epochs stay: the parts of several epochs are written at the same time.
    pub(super) fn remove_surpassed(&self, epoch: usize) -> io::Result<()> {
        let best = self.best.as_ref().and_then(|best| best.up_to(epoch));
        let Some(best) = best else {
            return Ok(());
        };
        let (folder, epochs) = &self.snapshots;
        Snapshots::remove(folder, |kept| kept < best && !epochs.contains(&kept))
    }

    /// Removes the snapshots of best epochs after an epoch, which a killed program has left.
    pub(super) fn remove_later(&self, epoch: usize) -> io::Result<()> {
        if self.best.is_none() {
            return Ok(());
        }
        let (folder, epochs) = &self.snapshots;
        Snapshots::remove(folder, |kept| kept > epoch && !epochs.contains(&kept))
    }

    /// Records that a part is written. With the last part, the epoch becomes the checkpoint.
    fn finish(&self, part: Part, epoch: usize, sha256: String) -> io::Result<()> {
        let mut parts = lock(&self.parts);
        let finished = parts.entry(epoch).or_default();
        finished.insert(part, sha256);
        if finished.len() < Part::ALL.len() {
            return Ok(());
        }
        let finished = parts.remove(&epoch).unwrap_or_default();
        parts.retain(|&other, _| other > epoch);

        let mut sha256: BTreeMap<_, _> = finished
            .into_iter()
            .map(|(part, sha256)| (part.name().to_string(), sha256))
            .collect();
        if let Some(history) = &self.history {
            let history = History::up_to(history, epoch)?.sha256();
            sha256.insert(HISTORY.into(), history);
        }
        let manifest = Manifest {
            epoch,
            teacher: self.teacher.clone(),
            sha256,
        };
        let text = serde_json::to_string_pretty(&manifest)?;
        let path = self.manifest_path();
        fs::write(partial(&path), text)?;
        self.sync(epoch)?;
        publish(&path)?;
        // After the manifest: a resume from an earlier epoch needs the best one before it.
        self.remove_surpassed(epoch)?;
        self.remove_records(|other| other < epoch)
    }

    /// Waits until the files of an epoch are on the disk, so that the checkpoint is complete after
    /// a power cut. Since that takes longer than an epoch of a small training, it does so at most
    /// once per `SYNC_EVERY`.
    fn sync(&self, epoch: usize) -> io::Result<()> {
        let mut synced = lock(&self.synced);
        if synced.elapsed() < SYNC_EVERY {
            return Ok(());
        }
        let parts = Part::ALL.map(|part| self.path(part, epoch));
        let manifest = partial(&self.manifest_path());
        for path in parts.iter().chain([&manifest]).chain(&self.history) {
            file::sync(path)?;
        }
        file::sync_folder(&self.folder)?;
        *synced = Instant::now();
        Ok(())
    }

    /// Removes the records of the epochs for which `of` is true. Other files stay.
    fn remove_records(&self, of: impl Fn(usize) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if epoch_of(&path).is_some_and(&of) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // The value is consistent between two calls, even if a thread panicked in one.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the epoch of a record from the name of its file.
fn epoch_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?.strip_suffix(".bpk")?;
    let name = name.strip_prefix("partial-").unwrap_or(name);
    let (part, epoch) = name.split_once('-')?;
    let known = Part::ALL.iter().any(|known| known.name() == part);
    epoch.parse().ok().filter(|_| known)
}

/// A checkpointer of burn for one part of the checkpoints in a folder.
pub(super) struct PartCheckpointer {
    folder: CheckpointFolder,
    part: Part,
}

impl PartCheckpointer {
    /// Renames the partial file of an epoch to its final name, unless it is a model that has
    /// diverged: then the epoch does not become the checkpoint, and the previous one stays.
    fn publish(&self, epoch: usize) -> Result<(), CheckpointerError> {
        let path = self.folder.path(self.part, epoch);
        let partial = partial(&path);
        if self.part == Part::Model {
            let broken = non_finite_in_file(&partial).map_err(CheckpointerError::Record)?;
            if let Some(tensor) = broken {
                self.folder.divergence.report(NonFinite::Weights(tensor));
                return fs::remove_file(partial).map_err(CheckpointerError::IOError);
            }
        }
        file_sha256(&partial)
            .and_then(|sha256| {
                publish(&path)?;
                // Before the manifest: an epoch with a manifest is not trained again.
                if self.part == Part::Model {
                    self.folder.save_snapshot(epoch)?;
                }
                self.folder.finish(self.part, epoch, sha256)
            })
            .map_err(CheckpointerError::IOError)
    }
}

impl<R: Checkpoint> Checkpointer<R> for PartCheckpointer {
    fn save(&self, epoch: usize, record: R) -> Result<(), CheckpointerError> {
        record.save(partial(&self.folder.path(self.part, epoch)))?;
        self.publish(epoch)
    }

    fn delete(&self, _epoch: usize) -> Result<(), CheckpointerError> {
        // Old files are removed after a newer manifest is written.
        Ok(())
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        R::load(self.folder.path(self.part, epoch))
    }
}

/// A strategy that saves after every epoch until the training diverges. Older checkpoints are
/// removed.
pub(super) struct EveryEpoch {
    pub divergence: Divergence,
    /// Best epochs so far, if they are kept.
    pub best: Option<BestEpochs>,
}

impl CheckpointingStrategy for EveryEpoch {
    fn checkpointing(
        &mut self,
        epoch: usize,
        store: &EventStoreClient,
    ) -> Vec<CheckpointingAction> {
        // An answer of the store means that the history of the epoch is written, so that the
        // manifest can hold its checksum.
        let _ = store.find_metric(
            &MetricKind::Loss.to_string(),
            epoch,
            Aggregate::Mean,
            &Split::Train,
        );
        if let Some(best) = &self.best {
            // Before the checkpoint of the epoch, which then has a snapshot.
            best.update(epoch, Value::of_store(epoch, store));
        }
        match self.divergence.get() {
            Some(_) => Vec::new(),
            None => vec![CheckpointingAction::Save],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::nn::LinearConfig;
    use burn::store::ModuleRecord;
    use burn::tensor::Device;

    fn record() -> ModuleRecord {
        LinearConfig::new(2, 2)
            .init(&Device::default())
            .into_record()
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_best_epoch_stays_while_the_parts_of_two_epochs_are_saved_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let best = BestEpochs::default();
        let snapshots = folder.path().join("snapshots");
        let checkpoints = CheckpointFolder::new(folder.path().join("checkpoint"), None).unwrap();
        let checkpoints = checkpoints
            .with_snapshots(snapshots.clone(), BTreeSet::new())
            .with_best(Some(best.clone()));
        let save = |part, epoch| checkpoints.part(part).save(epoch, record()).unwrap();

        best.update(1, Some(Value::Accuracy(50.0)));
        save(Part::Model, 1);
        save(Part::Optimizer, 1);
        // The next epoch ends before the checkpoint of the first is complete, and is better.
        best.update(2, Some(Value::Accuracy(60.0)));
        save(Part::Model, 2);
        save(Part::Scheduler, 1);
        assert_eq!(files(&snapshots), ["epoch-1.bpk", "epoch-2.bpk"]);

        save(Part::Optimizer, 2);
        save(Part::Scheduler, 2);
        assert_eq!(files(&snapshots), ["epoch-2.bpk"]);
        best.update(3, Some(Value::Accuracy(60.0)));
        for part in Part::ALL {
            save(part, 3);
        }
        assert_eq!(
            files(&snapshots),
            ["epoch-2.bpk"],
            "the first of equal epochs"
        );

        // Left by a killed program, which continues after the first epoch.
        checkpoints.remove_later(1).unwrap();
        assert_eq!(files(&snapshots), Vec::<String>::new());
    }

    #[test]
    fn an_epoch_is_a_checkpoint_once_all_its_parts_are_saved() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointFolder::new(folder.path(), None).unwrap();
        let epoch = || {
            checkpoints
                .manifest()
                .unwrap()
                .map(|manifest| manifest.epoch)
        };

        for part in Part::ALL {
            assert_eq!(epoch(), None);
            checkpoints.part(part).save(1, record()).unwrap();
        }
        assert_eq!(epoch(), Some(1));

        checkpoints.part(Part::Scheduler).save(2, record()).unwrap();
        checkpoints.part(Part::Model).save(2, record()).unwrap();
        assert_eq!(epoch(), Some(1), "a killed run continues from epoch 1");
        assert!(checkpoints.path(Part::Model, 1).exists());

        checkpoints.part(Part::Optimizer).save(2, record()).unwrap();
        assert_eq!(epoch(), Some(2));
        assert_eq!(
            files(folder.path()),
            [
                "checkpoint.json",
                "model-2.bpk",
                "optimizer-2.bpk",
                "scheduler-2.bpk"
            ]
        );
    }

    #[test]
    fn another_teacher_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let teacher = |contents: &[u8]| {
            let path = folder.path().join("teacher.bpk");
            fs::write(&path, contents).unwrap();
            Some(TeacherIdentity::of_file(path).unwrap())
        };
        let first = CheckpointFolder::new(folder.path(), teacher(b"first")).unwrap();
        for part in Part::ALL {
            first.part(part).save(1, record()).unwrap();
        }

        let second = CheckpointFolder::new(folder.path(), teacher(b"second")).unwrap();
        let error = second.manifest().unwrap_err();

        assert!(matches!(error, CheckpointError::OtherTeacher { .. }));
        assert!(
            error.to_string().contains("made with the teacher"),
            "{error}"
        );
        assert!(first.manifest().unwrap().is_some());
    }

    #[test]
    fn a_broken_manifest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("checkpoint.json"), "{").unwrap();

        let checkpoints = CheckpointFolder::new(folder.path(), None).unwrap();
        let error = checkpoints.manifest().unwrap_err().to_string();

        assert!(
            error.contains("checkpoint.json: the file is empty or damaged"),
            "{error}"
        );
    }

    #[test]
    fn clearing_keeps_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointFolder::new(folder.path(), None).unwrap();
        for part in Part::ALL {
            checkpoints.part(part).save(3, record()).unwrap();
        }
        for name in ["model.bpk", "model-old.bpk", "notes-3.bpk"] {
            fs::write(folder.path().join(name), "").unwrap();
        }

        checkpoints.clear().unwrap();

        assert_eq!(
            files(folder.path()),
            ["model-old.bpk", "model.bpk", "notes-3.bpk"]
        );
    }

    #[test]
    fn several_teachers_have_an_identity_that_depends_on_each_and_on_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, name).unwrap();
            path
        };
        let (a, b) = (file("a"), file("b"));
        let of = |paths: &[&PathBuf]| {
            let paths: Vec<_> = paths.iter().copied().cloned().collect();
            TeacherIdentity::of_files(&paths).unwrap()
        };

        assert_eq!(of(&[&a]), TeacherIdentity::of_file(&a).unwrap());
        assert_ne!(of(&[&a, &b]).sha256, of(&[&b, &a]).sha256);
        assert_ne!(of(&[&a, &b]).sha256, of(&[&a, &a]).sha256);
    }
}
