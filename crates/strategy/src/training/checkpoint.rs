use super::Snapshots;
use super::file::{partial, publish, write_atomically};
use burn::train::checkpoint::{
    Checkpoint, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn::train::metric::store::EventStoreClient;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which checkpoint of a folder is whole, and what it belongs to.
///
/// A checkpoint is three files: model (student and objective), optimizer and scheduler. This one is
/// written last and renamed into place: what it names is complete, whatever else lies beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The last finished epoch, counted from 1.
    pub epoch: usize,
    /// The teacher of the training, if it has one.
    pub teacher: Option<TeacherIdentity>,
}

/// A teacher as a checkpoint remembers it: a student resumes with the teacher it began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherIdentity {
    /// The file of its weights.
    pub path: PathBuf,
    /// The SHA-256 of that file, in hexadecimal.
    pub sha256: String,
}

impl TeacherIdentity {
    /// The identity of the teacher whose weights are in that file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn of_file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let digest = Sha256::digest(fs::read(&path)?);
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path, sha256 })
    }

    /// The identity of several teachers in this order: where the first is, and a hash of the hashes
    /// of all. Of one it is [that](Self::of_file) of its file.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if there is no file.
    pub fn of_files(paths: &[PathBuf]) -> io::Result<Self> {
        let each: io::Result<Vec<_>> = paths.iter().map(Self::of_file).collect();
        let mut each = each?;
        let first = each.first().expect("There should be a teacher.");
        if each.len() == 1 {
            return Ok(each.remove(0));
        }
        let hashes: Vec<_> = each.iter().map(|teacher| teacher.sha256.as_str()).collect();
        let digest = Sha256::digest(hashes.join("\n"));
        Ok(Self {
            path: first.path.clone(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The manifest is not one.
    #[error("{}: not a checkpoint manifest: {message}", path.display())]
    Manifest {
        /// The file of the manifest.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The checkpoint was made with another teacher.
    #[error(
        "{}: made with the teacher {} (SHA-256 {}), but this run has {}: \
         start anew, or give it its own teacher",
        path.display(),
        expected.as_ref().map_or("none".into(), |t| t.path.display().to_string()),
        expected.as_ref().map_or("-", |t| &t.sha256),
        found.as_ref().map_or("none".into(), |t| format!("{} ({})", t.path.display(), t.sha256))
    )]
    OtherTeacher {
        /// The file of the manifest.
        path: PathBuf,
        /// The teacher that the checkpoint was made with.
        expected: Option<TeacherIdentity>,
        /// The teacher of this run.
        found: Option<TeacherIdentity>,
    },
    /// A record cannot be loaded into the model.
    #[error("{}: does not fit this run: {message}", path.display())]
    Record {
        /// The file of the record.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
}

/// The folder of a training's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    folder: PathBuf,
    teacher: Option<TeacherIdentity>,
    /// Where to keep the model of which epochs for good.
    snapshots: (PathBuf, BTreeSet<usize>),
    /// Parts of epochs that are written while others are not.
    parts: Arc<Mutex<BTreeMap<usize, BTreeSet<Part>>>>,
}

/// One of the files that make up a checkpoint.
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
    /// The checkpoints in a folder, which is made if need be.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be made.
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
            parts: Arc::default(),
        })
    }

    /// The same, with a copy of the models of these epochs in a folder of their own.
    pub(super) fn with_snapshots(mut self, folder: PathBuf, epochs: BTreeSet<usize>) -> Self {
        self.snapshots = (folder, epochs);
        self
    }

    /// The last whole checkpoint, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the manifest cannot be read, or if it names another teacher.
    pub fn manifest(&self) -> Result<Option<Manifest>, CheckpointError> {
        let path = self.manifest_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Io { path, source }),
        };
        let manifest: Manifest = match serde_json::from_str(&text) {
            Ok(manifest) => manifest,
            Err(error) => {
                let message = error.to_string();
                return Err(CheckpointError::Manifest { path, message });
            }
        };
        // The weights decide, not the place: a run folder may be moved as a whole.
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

    /// Forget all checkpoints of the folder.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be removed.
    pub fn clear(&self) -> Result<(), CheckpointError> {
        // The manifest first: without it the other files are nothing.
        let manifest = self.manifest_path();
        let removed = match fs::remove_file(&manifest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err((manifest, error)),
            _ => self
                .remove_records(|_| true)
                .map_err(|e| (self.folder.clone(), e)),
        };
        removed.map_err(|(path, source)| CheckpointError::Io { path, source })
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

    /// Copy the model of an epoch that is to be kept.
    fn keep(&self, epoch: usize) -> io::Result<()> {
        let (folder, epochs) = &self.snapshots;
        if !epochs.contains(&epoch) {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let snapshot = Snapshots::file(folder, epoch);
        fs::copy(self.path(Part::Model, epoch), partial(&snapshot))?;
        publish(&snapshot)
    }

    /// Note that a part is in place; when it is the last one, the epoch becomes the checkpoint.
    fn finish(&self, part: Part, epoch: usize) -> io::Result<()> {
        let mut parts = self.lock();
        let finished = parts.entry(epoch).or_default();
        finished.insert(part);
        if finished.len() < Part::ALL.len() {
            return Ok(());
        }
        parts.retain(|&other, _| other > epoch);

        let manifest = Manifest {
            epoch,
            teacher: self.teacher.clone(),
        };
        let text = serde_json::to_string_pretty(&manifest)?;
        write_atomically(self.manifest_path(), text.as_bytes())?;
        self.remove_records(|other| other < epoch)
    }

    /// Remove the records of some epochs. Other files of the folder stay.
    fn remove_records(&self, of: impl Fn(usize) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if epoch_of(&path).is_some_and(&of) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, BTreeSet<Part>>> {
        // The map is whole between two calls, also if a thread panicked in one.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The epoch of a record, from its name.
fn epoch_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?.strip_suffix(".bpk")?;
    let name = name.strip_prefix("partial-").unwrap_or(name);
    let (part, epoch) = name.split_once('-')?;
    let known = Part::ALL.iter().any(|known| known.name() == part);
    epoch.parse().ok().filter(|_| known)
}

/// Saves one part of the checkpoints of a folder.
pub(super) struct PartCheckpointer {
    folder: CheckpointFolder,
    part: Part,
}

impl<R: Checkpoint> Checkpointer<R> for PartCheckpointer {
    fn save(&self, epoch: usize, record: R) -> Result<(), CheckpointerError> {
        let path = self.folder.path(self.part, epoch);
        record.save(partial(&path))?;
        publish(&path)
            // Before the manifest: once an epoch counts, it is not trained again.
            .and_then(|()| match self.part {
                Part::Model => self.folder.keep(epoch),
                Part::Optimizer | Part::Scheduler => Ok(()),
            })
            .and_then(|()| self.folder.finish(self.part, epoch))
            .map_err(CheckpointerError::IOError)
    }

    fn delete(&self, _epoch: usize) -> Result<(), CheckpointerError> {
        // Old files go when a newer manifest is in place, not before.
        Ok(())
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        R::load(self.folder.path(self.part, epoch))
    }
}

/// Saves after every epoch: what is older than the last whole checkpoint is removed with it.
pub(super) struct EveryEpoch;

impl CheckpointingStrategy for EveryEpoch {
    fn checkpointing(&mut self, _: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save]
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
    fn an_epoch_counts_when_all_its_parts_are_there() {
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
        assert_eq!(epoch(), Some(1), "a killed run goes on from epoch 1");
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
            error.contains("checkpoint.json: not a checkpoint manifest"),
            "{error}"
        );
    }

    #[test]
    fn clearing_leaves_other_files_alone() {
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
    fn several_teachers_are_told_from_others_and_from_another_order() {
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
