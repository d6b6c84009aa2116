use super::CheckpointError;
use super::file::load_module;
use burn::module::Module;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The snapshots of a model that [`Training::with_snapshots`](crate::Training::with_snapshots)
/// saves after some epochs.
///
/// A snapshot includes the running statistics of normalization layers. It is read when it is
/// loaded.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
    epochs: Vec<usize>,
}

impl Snapshots {
    /// Finds the snapshots in the folder of a training.
    ///
    /// # Errors
    ///
    /// Returns an error if the training has saved none, or if the folder cannot be read.
    pub fn of(training: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let folder = Self::folder(training.as_ref());
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut epochs: Vec<_> = match entries {
            Ok(entries) => entries.iter().filter_map(|e| epoch_of(&e.path())).collect(),
            Err(source) => {
                return Err(CheckpointError::Io {
                    path: folder,
                    source,
                });
            }
        };
        epochs.sort_unstable();
        Ok(Self { folder, epochs })
    }

    /// Returns the epochs of the snapshots, ascending.
    pub fn epochs(&self) -> &[usize] {
        &self.epochs
    }

    /// Returns the file of the snapshot of an epoch.
    pub fn path(&self, epoch: usize) -> PathBuf {
        Self::file(&self.folder, epoch)
    }

    /// Loads the snapshot of an epoch into a copy of `model`, which is returned in validation mode.
    ///
    /// The model must have the structure of the one that was trained: a distiller, whose field
    /// `student` is usually the network of interest. `model` itself does not change.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no snapshot of that epoch, or if it belongs to another model.
    pub fn load<M: Module>(&self, epoch: usize, model: &M) -> Result<M, CheckpointError> {
        let path = self.path(epoch);
        if !path.exists() {
            let folder = self.folder.parent().unwrap_or(&self.folder).to_path_buf();
            return Err(CheckpointError::Missing { path, folder });
        }
        load_module(&path, model).map_err(|message| CheckpointError::Record { path, message })
    }

    /// Returns every `interval`-th of `epochs` epochs, and the last one.
    ///
    /// # Panics
    ///
    /// Panics if `interval` is zero.
    pub fn every(interval: usize, epochs: usize) -> Vec<usize> {
        let mut kept: Vec<_> = (interval..=epochs).step_by(interval).collect();
        if kept.last().is_none_or(|&last| last < epochs) {
            kept.push(epochs);
        }
        kept
    }

    /// Returns `count` equally spaced epochs of `epochs`, including the last one.
    ///
    /// If there are fewer epochs than `count`, it returns all of them.
    pub fn equally_spaced(count: usize, epochs: usize) -> Vec<usize> {
        let mut kept: Vec<_> = (1..=count).map(|n| (n * epochs).div_ceil(count)).collect();
        kept.dedup();
        kept
    }

    pub(super) fn folder(training: &Path) -> PathBuf {
        training.join("snapshots")
    }

    pub(super) fn file(folder: &Path, epoch: usize) -> PathBuf {
        folder.join(format!("epoch-{epoch}.bpk"))
    }

    /// Removes all snapshots in a folder. Other files stay.
    pub(super) fn clear(folder: &Path) -> Result<(), CheckpointError> {
        Self::remove(folder, |_| true).map_err(|source| CheckpointError::Io {
            path: folder.to_path_buf(),
            source,
        })
    }

    /// Removes the snapshots of the epochs for which `of` is true. Other files stay.
    pub(super) fn remove(folder: &Path, of: impl Fn(usize) -> bool) -> io::Result<()> {
        match fs::read_dir(folder) {
            Ok(entries) => entries.into_iter().try_for_each(|entry| {
                let path = entry?.path();
                match epoch_of(&path).is_some_and(&of) {
                    true => fs::remove_file(path),
                    false => Ok(()),
                }
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Returns the epoch of a snapshot from the name of its file.
fn epoch_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    let epoch = name.strip_prefix("epoch-")?.strip_suffix(".bpk")?;
    epoch.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_epoch_is_always_kept() {
        assert_eq!(Snapshots::every(10, 30), [10, 20, 30]);
        assert_eq!(Snapshots::every(10, 35), [10, 20, 30, 35]);
        assert_eq!(Snapshots::every(10, 5), [5]);
        assert_eq!(Snapshots::equally_spaced(4, 240), [60, 120, 180, 240]);
        assert_eq!(Snapshots::equally_spaced(4, 10), [3, 5, 8, 10]);
        assert_eq!(Snapshots::equally_spaced(1, 7), [7]);
        assert_eq!(Snapshots::equally_spaced(4, 2), [1, 2]);
    }

    #[test]
    fn other_files_are_not_taken_for_snapshots() {
        let training = tempfile::tempdir().unwrap();
        let folder = Snapshots::folder(training.path());
        fs::create_dir(&folder).unwrap();
        for name in [
            "epoch-10.bpk",
            "epoch-9.bpk",
            "partial-epoch-8.bpk",
            "notes",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }

        let snapshots = Snapshots::of(training.path()).unwrap();
        assert_eq!(snapshots.epochs(), [9, 10]);

        Snapshots::clear(&folder).unwrap();
        assert!(!snapshots.path(9).exists() && !snapshots.path(10).exists());
        assert!(folder.join("notes").exists());
    }
}
