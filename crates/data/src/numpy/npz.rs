use super::array::NumpyArray;
use super::npy;
use crate::DataError;
use crate::read::open_file;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Largest size of an array per byte of its archive.
const RATIO: u64 = 100;

/// Size up to which the ratio does not matter.
const SMALL: u64 = 16 << 20;

/// Largest number of bytes that one byte compressed by deflate expands to.
const DEFLATE_RATIO: u64 = 1032;

/// Ending of the names of arrays in an archive.
const ENDING: &str = ".npy";

/// Archive of named arrays, as `numpy.savez` and `numpy.savez_compressed` write it.
///
/// An array is not decompressed if its declared size is more than 100 times that of the archive and
/// more than 16 MiB, and never beyond the size that its header declares.
pub struct NpzFile {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    size: u64,
}

impl NpzFile {
    /// Opens an archive and reads its table of contents.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Io`] if the file cannot be read, and [`DataError::Corrupt`] if it is
    /// not a ZIP archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let open = || -> io::Result<_> {
            let file = open_file(path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        let (file, size) = open().map_err(|error| DataError::io(path, error))?;
        let archive = ZipArchive::new(BufReader::new(file));
        Ok(Self {
            path: path.into(),
            archive: archive.map_err(|error| {
                DataError::corrupt(path, 0, "an .npz file, a zip archive", error.to_string())
            })?,
            size,
        })
    }

    /// Returns the names of the arrays, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        let names = self.archive.file_names().filter_map(Result::ok);
        let names = names.filter_map(|name| Some(name.strip_suffix(ENDING)?.to_string()));
        names.collect()
    }

    /// Reads the array with this name.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if no array has this name, and [`DataError::Corrupt`] if it
    /// cannot be decompressed, if it is larger than an array in a file of this size may be, or for
    /// the reasons of [`NumpyArray::open`].
    pub fn read(&mut self, name: &str) -> Result<NumpyArray, DataError> {
        let member = format!("{name}{ENDING}");
        if self.archive.index_for_name(&member).is_none() {
            let names = self.names().into_iter();
            let names: Vec<_> = names
                .map(|name| format!("`{}`", name.escape_debug()))
                .collect();
            return Err(DataError::Invalid(format!(
                "{}: there is no array `{name}`; the file holds {}",
                self.path.display(),
                match names.is_empty() {
                    true => "no arrays".into(),
                    false => names.join(", "),
                }
            )));
        }
        let path = self.path.join(&member);
        let corrupt =
            |expected: String, found: String| Err(DataError::corrupt(&path, 0, expected, found));
        let file = match self.archive.by_name(&member) {
            Ok(file) => file,
            Err(error) => {
                return corrupt(
                    "an array that is stored or compressed by deflate".into(),
                    error.to_string(),
                );
            }
        };
        let (size, compressed) = (file.size(), file.compressed_size());
        if size.div_ceil(DEFLATE_RATIO) > compressed || compressed > self.size {
            return corrupt(
                format!("{compressed} compressed bytes in a file of {}", self.size),
                format!("the promise of {size} bytes, more than they can hold"),
            );
        }
        let limit = self.size.saturating_mul(RATIO).max(SMALL);
        if size > limit {
            return corrupt(
                format!(
                    "an array of at most {limit} bytes, {RATIO} times the size of the archive: \
                     store it by `numpy.savez`, without compression"
                ),
                format!("one of {size}"),
            );
        }
        npy::read(file, size, &path)
    }
}

impl fmt::Debug for NpzFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NpzFile")
            .field("path", &self.path)
            .field("names", &self.names())
            .finish_non_exhaustive()
    }
}
