use burn_distill_core::ConfigError;
use std::io;
use std::path::{Path, PathBuf};

/// Error of loading, splitting, augmenting or batching data.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file has unexpected contents.
    #[error("{}: at byte {offset}: expected {expected}, found {found}", path.display())]
    Corrupt {
        /// Path of the file.
        path: PathBuf,
        /// Position in the file, after decompression if it is compressed.
        offset: u64,
        /// Expected contents.
        expected: String,
        /// Actual contents.
        found: String,
    },
    /// A row or a field of a table is unexpected.
    #[error(
        "{}: line {line}{}: expected {expected}, found {found}",
        path.display(),
        column.as_deref().map(|column| format!(", column {column}")).unwrap_or_default()
    )]
    Cell {
        /// Path of the file.
        path: PathBuf,
        /// Line where the row begins, counted from 1.
        line: u64,
        /// Column, if the error is about a field.
        column: Option<String>,
        /// Expected contents.
        expected: String,
        /// Actual contents.
        found: String,
    },
    /// A file is not an image, or not one that can be used.
    #[error("{}: {reason}", path.display())]
    Image {
        /// Path of the file.
        path: PathBuf,
        /// Reason, in words.
        reason: String,
    },
    /// The files of a data set are in none of the searched folders.
    #[error(
        "{dataset}: {} not found in {}. Put the files there ({from}), or name the folder that \
         holds them with --data-dir",
        files.join(", "),
        listed(folders)
    )]
    Missing {
        /// Name of the data set.
        dataset: String,
        /// Names of the missing files.
        files: Vec<String>,
        /// Folders that were searched.
        folders: Vec<PathBuf>,
        /// URL where the files are published.
        from: String,
    },
    /// The files belong to another data set.
    #[error(
        "{}: these are the files of {found}, not of {dataset}, whose files have the same names; \
         name the folder of {dataset} with --data-dir, or set `data.name = \"{found}\"`",
        folder.display()
    )]
    OtherDataset {
        /// Name of the requested data set.
        dataset: String,
        /// Name of the data set that was found.
        found: String,
        /// Folder of the files.
        folder: PathBuf,
    },
    /// A file could not be downloaded. The received part is kept, and the next attempt resumes from
    /// there.
    #[error(
        "cannot download {url}: {reason}. Try again, or put {file} into {}, or name a folder that \
         holds it with --data-dir",
        folder.display()
    )]
    Download {
        /// URL of the file.
        url: String,
        /// Reason of the failure.
        reason: String,
        /// Name of the file, as published.
        file: String,
        /// Folder that the file belongs in.
        folder: PathBuf,
    },
    /// A downloaded file is not the published one. It was discarded.
    #[error(
        "{url}: expected the MD5 checksum {expected}, found {found}; the download was discarded"
    )]
    Checksum {
        /// URL of the file.
        url: String,
        /// Published checksum.
        expected: String,
        /// Checksum of the downloaded file.
        found: String,
    },
    /// There is no data set of this name.
    #[error(
        "no data set named `{name}`{}; the known ones are {}",
        nearest.as_deref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownDataset {
        /// Requested name.
        name: String,
        /// Most similar known name, if one is similar.
        nearest: Option<String>,
        /// Known names.
        known: Vec<String>,
    },
    /// A value of a configuration is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value is impossible, such as a split of more samples than there are.
    #[error("{0}")]
    Invalid(String),
    /// An epoch would be empty, because incomplete batches are dropped.
    #[error(
        "no batch: {samples} samples do not fill one of {batch_size}, and incomplete batches are \
         dropped: reduce the batch size, or keep incomplete batches"
    )]
    NoBatch {
        /// Number of samples.
        samples: usize,
        /// Number of samples in a batch.
        batch_size: usize,
    },
    /// Batches of labeled and unlabeled samples are requested, but all samples are of one kind.
    #[error(
        "no batch: batches of labeled and unlabeled samples need both, but {labeled} samples are \
         labeled and {unlabeled} are not: leave out the number of labeled samples per batch"
    )]
    OneStream {
        /// Number of samples with a label.
        labeled: usize,
        /// Number of samples without a label.
        unlabeled: usize,
    },
}

burn_distill_core::debug_as_display!(DataError);

impl DataError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn corrupt(
        path: &Path,
        offset: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            path: path.to_path_buf(),
            offset: offset as u64,
            expected: expected.into(),
            found: found.into(),
        }
    }
}

fn listed(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        return "any folder: this system names no cache folder".into();
    }
    let folders: Vec<_> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    folders.join(" or ")
}
