use burn_distill_core::ConfigError;
use std::io;
use std::path::{Path, PathBuf};

/// Why data could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: at byte {offset}: expected {expected}, found {found}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The place in the file, after decompression if it is compressed.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Files of a data set are in none of the folders where they may be.
    #[error(
        "{dataset}: {} not found in {}. Put the files there ({from}), or name the folder that \
         holds them with --data-dir",
        files.join(", "),
        listed(folders)
    )]
    Missing {
        /// The name of the data set.
        dataset: String,
        /// The files that are missing.
        files: Vec<String>,
        /// The folders that were looked at.
        folders: Vec<PathBuf>,
        /// Where the files are published.
        from: String,
    },
    /// The files that were found are those of another data set.
    #[error(
        "{}: these are the files of {found}, not of {dataset}, whose files have the same names; name \
         the folder of {dataset} with --data-dir, or set `data.name = \"{found}\"`",
        folder.display()
    )]
    OtherDataset {
        /// The name of the data set that was asked for.
        dataset: String,
        /// The name of the data set that was found.
        found: String,
        /// The folder of the files.
        folder: PathBuf,
    },
    /// A file could not be downloaded. What came is kept, and the next attempt goes on from there.
    #[error(
        "cannot download {url}: {reason}. Try again, or put {file} into {}, or name a folder that \
         holds it with --data-dir",
        folder.display()
    )]
    Download {
        /// The address.
        url: String,
        /// What went wrong.
        reason: String,
        /// The file, as published.
        file: String,
        /// Where it belongs.
        folder: PathBuf,
    },
    /// A downloaded file is not the published one. It was thrown away.
    #[error(
        "{url}: expected the MD5 checksum {expected}, found {found}; the download was discarded"
    )]
    Checksum {
        /// The address.
        url: String,
        /// The published checksum.
        expected: String,
        /// The checksum of what came.
        found: String,
    },
    /// No data set has this name.
    #[error(
        "no data set named `{name}`{}; known are {}",
        nearest.as_deref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownDataset {
        /// The name that was asked for.
        name: String,
        /// The most similar known name, if one is similar.
        nearest: Option<String>,
        /// The known names.
        known: Vec<String>,
    },
    /// A value of a configuration that is not what it should be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value that cannot be, such as a split of more samples than there are.
    #[error("{0}")]
    Invalid(String),
    /// An epoch would be empty, because incomplete batches are dropped.
    #[error(
        "no batch: {samples} samples do not fill one of {batch_size}, and incomplete batches are \
         dropped"
    )]
    NoBatch {
        /// The samples that there are.
        samples: usize,
        /// The samples in a batch.
        batch_size: usize,
    },
    /// Batches of labeled and unlabeled samples are asked for where all samples are of one kind.
    #[error(
        "no batch: one of labeled and unlabeled samples needs both, but {labeled} samples are labeled \
         and {unlabeled} are not: load batches of all samples alike"
    )]
    OneStream {
        /// Number of samples with a label.
        labeled: usize,
        /// Number of samples without one.
        unlabeled: usize,
    },
}

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
