use super::CurriculumError;
use crate::training::write_atomically;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The record of one stage in the journal of a curriculum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Name of the stage.
    pub name: String,
    /// Number of epochs that the stage should take.
    pub planned: usize,
    /// Number of finished epochs: fewer if the stage was stopped, or if it ended early.
    pub epochs: usize,
    /// Whether the stage is finished.
    pub finished: bool,
    /// Duration of the training in seconds, over all runs that were not killed.
    pub seconds: f64,
    /// Names of the saved artifacts.
    pub artifacts: Vec<String>,
    /// SHA-256 of the file of each artifact by its name, in hexadecimal. Empty for a stage that an
    /// earlier version has finished.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
    /// Metrics of the last epoch on the training samples, by name.
    pub train: BTreeMap<String, f64>,
    /// Metrics of the last epoch on the validation samples, by name.
    pub valid: BTreeMap<String, f64>,
}

impl StageRecord {
    pub(super) fn begun(name: &str, planned: usize) -> Self {
        Self {
            name: name.into(),
            planned,
            epochs: 0,
            finished: false,
            seconds: 0.0,
            artifacts: Vec::new(),
            sha256: BTreeMap::new(),
            train: BTreeMap::new(),
            valid: BTreeMap::new(),
        }
    }
}

/// The journal of a curriculum: the stages that were started, in their order.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    pub path: PathBuf,
    pub stages: Vec<StageRecord>,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    stages: Vec<StageRecord>,
}

impl Journal {
    /// Reads the journal in a folder. It is empty for a new curriculum.
    pub fn read(folder: &Path) -> Result<Self, CurriculumError> {
        let path = folder.join("curriculum.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let stages = Vec::new();
                return Ok(Self { path, stages });
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let message = error.to_string();
                return Err(CurriculumError::Journal { path, message });
            }
            Err(source) => return Err(CurriculumError::Io { path, source }),
        };
        match serde_json::from_str(&text) {
            Ok(Contents { stages }) => Ok(Self { path, stages }),
            Err(error) => Err(CurriculumError::Journal {
                path,
                message: error.to_string(),
            }),
        }
    }

    pub fn write(&self) -> Result<(), CurriculumError> {
        let stages = self.stages.clone();
        serde_json::to_string_pretty(&Contents { stages })
            .map_err(io::Error::from)
            .and_then(|text| write_atomically(&self.path, text.as_bytes()))
            .map_err(|source| CurriculumError::Io {
                path: self.path.clone(),
                source,
            })
    }

    /// Returns the stage at a position, after checking its name and number of epochs, or adds a new
    /// one.
    pub fn begin(
        &mut self,
        place: usize,
        name: &str,
        planned: usize,
    ) -> Result<&mut StageRecord, CurriculumError> {
        if let Some(begun) = self.stages.get(place) {
            if (begun.name.as_str(), begun.planned) != (name, planned) {
                let stage = |name: &str, epochs| format!("`{name}` of {epochs} epochs");
                return Err(CurriculumError::OtherStage {
                    path: self.path.clone(),
                    number: place + 1,
                    expected: stage(&begun.name, begun.planned),
                    found: stage(name, planned),
                });
            }
        } else {
            let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
            let reason = if !(name.chars().all(plain) && name.starts_with(char::is_alphanumeric)) {
                Some("it names a folder, so it must consist of letters, digits, `-`, `_` and `.`")
            } else if self.stages.iter().any(|stage| stage.name == name) {
                Some("an earlier stage has that name")
            } else {
                None
            };
            if let Some(reason) = reason {
                let name = name.into();
                return Err(CurriculumError::Name { name, reason });
            }
            self.stages.push(StageRecord::begun(name, planned));
            self.write()?;
        }
        Ok(&mut self.stages[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(folder: &Path) -> Journal {
        Journal::read(folder).unwrap()
    }

    fn error(journal: &mut Journal, place: usize, name: &str, planned: usize) -> String {
        journal.begin(place, name, planned).unwrap_err().to_string()
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut original = journal(folder.path());
        let stage = original.begin(0, "hints", 30).unwrap();
        stage.valid = [("Accuracy".into(), 12.5)].into();
        original.write().unwrap();

        assert_eq!(journal(folder.path()).stages, original.stages);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_name_and_the_epochs_of_a_started_stage_do_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        journal.begin(0, "hints", 30).unwrap();
        journal.begin(1, "distillation", 60).unwrap();

        journal.begin(1, "distillation", 60).unwrap();
        let renamed = error(&mut journal, 1, "kd", 60);
        assert!(
            renamed.contains(
                "curriculum.json: stage number 2 was started as `distillation` of 60 epochs, \
                 but is now `kd` of 60 epochs"
            ),
            "{renamed}"
        );
        let moved = error(&mut journal, 0, "distillation", 60);
        assert!(
            moved.contains("stage number 1 was started as `hints`"),
            "{moved}"
        );
        let longer = error(&mut journal, 0, "hints", 31);
        assert!(longer.contains("`hints` of 31 epochs"), "{longer}");
    }

    #[test]
    fn names_are_those_of_folders() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        journal.begin(0, "hints", 1).unwrap();

        for name in ["", "../x", "a/b", ".", "a b"] {
            assert!(
                error(&mut journal, 1, name, 1).contains("it names a folder"),
                "{name}"
            );
        }
        assert!(error(&mut journal, 1, "hints", 1).contains("an earlier stage has that name"));
    }

    #[test]
    fn a_broken_journal_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("curriculum.json"), "{").unwrap();

        let error = Journal::read(folder.path()).unwrap_err().to_string();

        assert!(
            error.contains("curriculum.json: the file is empty or damaged; restore it"),
            "{error}"
        );
    }
}
