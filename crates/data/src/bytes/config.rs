use super::dataset::{ByteFolder, ByteFolderData};
use super::window::ByteWindow;
use crate::class_list::{ClassList, is_labeled, labeled};
use crate::listing::{FileKind, Layout, Listing, PartFolders, empty_class, invalid};
use crate::{DataError, Samples, TrainTestData};
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Configuration of a [`ByteFolder`].
///
/// Each subfolder is a class of this name, in alphabetical order. The folder may instead hold the
/// folders `train` and, if there are any, `val` (or `valid`, or `validation`) and `test`, each with
/// the subfolders of its classes.
///
/// Every file is a sample, regardless of its contents. Hidden files and `__MACOSX` are ignored;
/// files with fewer than `min_bytes` bytes are left out, with a warning. Links are followed, but a
/// link to a folder that contains it is an error.
///
/// If [`labels`](Self::labels) is false, the files have no labels, and the names of subfolders are
/// ignored. Only the test files may have labels: those in subfolders with the names of
/// [`classes`](Self::classes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByteFolderConfig {
    /// Folder of the files.
    pub bytes: PathBuf,
    /// Folder of the files of the test set, with subfolders of the same names. Default: `test` in
    /// `bytes`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_bytes: Option<PathBuf>,
    /// Whether the files are labeled, by the subfolders that they are in. Default: true.
    #[serde(default = "labeled", skip_serializing_if = "is_labeled")]
    pub labels: bool,
    /// Classes of unlabeled files, in the order of the logits of the teacher. Default for recipes:
    /// those of the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassList>,
    /// Number of bytes at the beginning of a file. Default: 512.
    #[serde(default = "cut")]
    pub first: usize,
    /// Number of bytes at the end of a file. Default: 512.
    #[serde(default = "cut")]
    pub last: usize,
    /// Whether whitespace at the beginning and the end of a file is left out. Default: false.
    #[serde(default)]
    pub strip: bool,
    /// Smallest size of a file in bytes, at least 1. Default: 1.
    #[serde(default = "min_bytes")]
    pub min_bytes: u64,
}

/// Every file that can be read.
const FILES: FileKind = FileKind {
    one: "file",
    many: "files",
    is_sample: |_, can_be_read| can_be_read,
};

fn cut() -> usize {
    512
}

fn min_bytes() -> u64 {
    1
}

impl ByteFolderConfig {
    /// Creates the configuration of a folder, with default values.
    pub fn new(bytes: impl Into<PathBuf>) -> Self {
        Self {
            bytes: bytes.into(),
            test_bytes: None,
            labels: true,
            classes: None,
            first: cut(),
            last: cut(),
            strip: false,
            min_bytes: min_bytes(),
        }
    }

    /// Returns the part of each file that is read.
    pub fn window(&self) -> ByteWindow {
        ByteWindow {
            first: self.first,
            last: self.last,
            strip: self.strip,
        }
    }

    /// Returns the name of the data in reports: that of the folder.
    pub fn name(&self) -> String {
        let name = self.bytes.file_name();
        let name = name.map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.bytes.display().to_string())
    }

    /// Lists the files, whose contents are read when batches are prepared.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Config`] if a value is invalid, [`DataError::Io`] if a folder cannot be
    /// read, and [`DataError::Invalid`] if it is not laid out as described above.
    pub fn load(&self) -> Result<TrainTestData<ByteFolder>, DataError> {
        self.check()?;
        let PartFolders {
            train,
            validation,
            test,
        } = PartFolders::of(&self.bytes, FILES)?.with_test(
            "test_bytes",
            self.test_bytes.as_deref(),
            FILES,
            self.labels,
        )?;
        let layout = Layout {
            kind: FILES,
            labels: self.labels,
            classes: self.classes.as_ref(),
        };
        let folder = train;
        let train = self.part(&folder, layout.train(&folder)?)?;
        let labels = train.ids().iter().map(|&id| train.label(id));
        if let Some(class) = empty_class(train.classes(), labels).filter(|_| self.labels) {
            return Err(invalid(
                &folder,
                format_args!(
                    "no file of the class {class} has {} bytes or more: add some, or remove its folder",
                    self.min_bytes
                ),
            ));
        }
        let classes = train.classes();
        let validation = validation
            .map(|folder| self.part(&folder, layout.validation(&folder, classes)?))
            .transpose()?;
        let test = test
            .map(|folder| self.part(&folder, layout.test(&folder, classes)?))
            .transpose()?;
        Ok(TrainTestData {
            validation,
            test,
            train,
        })
    }

    /// Creates the data set of the listed files of a folder.
    fn part(&self, folder: &Path, mut listing: Listing) -> Result<ByteFolder, DataError> {
        let files = listing.files.len();
        // A file that is gone by now has no bytes either, nor has a pipe.
        let size = |path: &Path| {
            let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file);
            metadata.map_or(0, |metadata| metadata.len())
        };
        listing
            .files
            .retain(|(path, _)| size(path) >= self.min_bytes);
        let small = files - listing.files.len();
        if small > 0 {
            log::warn!(
                "{}: {small} of {files} files are left out, because they have fewer than {} bytes",
                folder.display(),
                self.min_bytes
            );
        }
        if listing.files.is_empty() {
            let what = format_args!("no file has {} bytes or more", self.min_bytes);
            return Err(invalid(folder, what));
        }
        Ok(ByteFolder::new(ByteFolderData {
            name: self.name(),
            window: self.window(),
            files: listing.files,
            classes: listing.classes,
            labeled: listing.labeled,
        }))
    }
}

impl Check for ByteFolderConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let given = |path: &Path| !path.as_os_str().is_empty();
        let expected = "the path of a folder";
        check::ensure(given(&self.bytes), "bytes", expected, "empty")?;
        let test = self.test_bytes.as_deref();
        check::ensure(test.is_none_or(given), "test_bytes", expected, "empty")?;
        ClassList::check(self.classes.as_ref(), self.labels)?;
        self.window().check()?;
        check::ensure(self.min_bytes > 0, "min_bytes", "at least 1", 0)
    }
}
