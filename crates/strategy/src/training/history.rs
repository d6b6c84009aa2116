use super::write_atomically;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, MetricName, NumericEntry};
use burn_distill_core::hexadecimal;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The value of every metric at the end of every epoch, as a table in a CSV file.
///
/// The file has the columns `epoch,split,metric,value`. It is replaced after each epoch, and a
/// resumed training appends to it. A metric without samples in an epoch, such as an accuracy
/// without labels, has no row for that epoch: every value is finite.
pub struct History {
    path: PathBuf,
    names: HashMap<MetricId, MetricName>,
    values: BTreeMap<Key, f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    epoch: usize,
    split: String,
    metric: String,
}

const HEADER: &str = "epoch,split,metric,value";

impl History {
    /// Reads the history in a file up to and including `epoch`, without the rows of later epochs.
    ///
    /// # Errors
    ///
    /// Returns an error if the file exists and cannot be read.
    pub fn up_to(path: impl Into<PathBuf>, epoch: usize) -> io::Result<Self> {
        let path = path.into();
        let values = match fs::read(&path) {
            // A damaged line is left out, which changes the hash of the table.
            Ok(bytes) => String::from_utf8_lossy(&bytes)
                .lines()
                .filter_map(parse)
                .filter(|(key, _)| key.epoch <= epoch)
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            names: HashMap::new(),
            values,
        })
    }

    /// Returns the finite metrics of one split at the end of an epoch, by name.
    pub fn at(&self, epoch: usize, split: &Split) -> BTreeMap<String, f64> {
        let split = split.to_string();
        let values = self
            .values
            .iter()
            .filter(|(key, value)| key.epoch == epoch && key.split == split && value.is_finite());
        values
            .map(|(key, value)| (key.metric.clone(), *value))
            .collect()
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn save(&self) -> io::Result<()> {
        write_atomically(&self.path, self.text().as_bytes())
    }

    /// Returns the SHA-256 of the table, in hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hexadecimal(Sha256::digest(self.text()))
    }

    fn text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (key, value) in &self.values {
            let Key {
                epoch,
                split,
                metric,
            } = key;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{epoch},{split},{metric},{value}");
        }
        text
    }
}

/// Parses a line of the table. Names of metrics contain no comma.
fn parse(line: &str) -> Option<(Key, f64)> {
    let mut fields = line.splitn(4, ',');
    let key = Key {
        epoch: fields.next()?.parse().ok()?,
        split: fields.next()?.to_string(),
        metric: fields.next()?.to_string(),
    };
    Some((key, fields.next()?.parse().ok()?))
}

fn column(metric: &str) -> String {
    metric.replace(',', ";")
}

impl MetricLogger for History {
    fn log(&mut self, update: MetricsUpdate, epoch: usize, split: &Split) {
        for entry in update.entries_numeric {
            let (Some(NumericEntry::Final(value)), Some(name)) =
                (entry.numeric_entry, self.names.get(&entry.entry.metric_id))
            else {
                continue;
            };
            if !value.is_finite() {
                continue;
            }
            let key = Key {
                epoch,
                split: split.to_string(),
                metric: column(name),
            };
            self.values.insert(key, value);
        }
    }

    fn read_numeric(
        &mut self,
        name: &str,
        epoch: usize,
        split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        let key = Key {
            epoch,
            split: split.to_string(),
            metric: column(name),
        };
        let value = self.values.get(&key).copied();
        Ok(value.map(NumericEntry::Final).into_iter().collect())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }

    fn log_epoch_summary(&mut self, _summary: EpochSummary) {
        if let Err(error) = self.save() {
            log::warn!("{}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_epochs_are_left_out_on_resume() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let text = format!("{HEADER}\n1,valid,Accuracy,50\n2,valid,Accuracy,60\n3,valid,Acc");
        fs::write(&path, text).unwrap();

        let mut history = History::up_to(&path, 1).unwrap();

        let mut read = |epoch| {
            history
                .read_numeric("Accuracy", epoch, &Split::Valid)
                .unwrap()
        };
        assert!(matches!(read(1)[..], [NumericEntry::Final(50.0)]));
        assert!(read(2).is_empty());
        let accuracy = [("Accuracy".to_string(), 50.0)].into();
        assert_eq!(history.at(1, &Split::Valid), accuracy);
        assert!(history.at(1, &Split::Train).is_empty());

        history.save().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{HEADER}\n1,valid,Accuracy,50\n"));
    }
}
