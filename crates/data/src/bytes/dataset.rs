use super::window::ByteWindow;
use crate::{DataError, Samples, ViewedSample, Views};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::Tokens;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Files as samples, with their first and last bytes as tokens.
///
/// [`ByteFolderConfig::load`](crate::ByteFolderConfig::load) creates it. The id of a file is its
/// position in the order of the paths. Only the paths are kept in memory, and a hash of what was read
/// first. The two ends of a file are read whenever a batch is prepared; one that has changed since
/// is an error.
///
/// The mask is true for tokens that are bytes. A file of whitespace only, all of which is left out,
/// has a single token, of padding, because attention over no tokens is undefined.
#[derive(Clone)]
pub struct ByteFolder {
    data: Arc<ByteFolderData>,
    /// Hash of the tokens of each file that was read.
    hashes: Arc<[OnceLock<u64>]>,
    ids: Arc<[usize]>,
}

/// Contents of a [`ByteFolder`].
pub(super) struct ByteFolderData {
    pub(super) name: String,
    pub(super) window: ByteWindow,
    /// Path and class of each file.
    pub(super) files: Vec<(PathBuf, usize)>,
    pub(super) classes: Vec<String>,
    /// Whether the classes of the files are known.
    pub(super) labeled: bool,
}

impl ByteFolder {
    pub(super) fn new(data: ByteFolderData) -> Self {
        Self {
            ids: (0..data.files.len()).collect(),
            hashes: data.files.iter().map(|_| OnceLock::new()).collect(),
            data: Arc::new(data),
        }
    }

    /// Reads the tokens of a file.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if it cannot be read, or if its tokens are not those of
    /// the first time.
    fn tokens(&self, id: usize) -> Result<Vec<u16>, DataError> {
        let path = self.path(id);
        let tokens = self.window().read(path)?;
        let mut hasher = DefaultHasher::new();
        tokens.hash(&mut hasher);
        let hash = hasher.finish();
        if *self.hashes[id].get_or_init(|| hash) != hash {
            let changed = "the file has changed since it was read first: start again";
            return Err(DataError::io(path, io::Error::other(changed)));
        }
        Ok(tokens)
    }

    /// Returns the name of the data set: that of the folder.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// Returns the part of each file that is read.
    pub fn window(&self) -> ByteWindow {
        self.data.window
    }

    /// Returns the names of the classes, including those without files.
    pub fn classes(&self) -> &[String] {
        &self.data.classes
    }

    /// Returns the path of the file with this id.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not below [`published_len`](Samples::published_len).
    pub fn path(&self, id: usize) -> &std::path::Path {
        &self.data.files[id].0
    }
}

impl Samples for ByteFolder {
    type Input = Tokens;
    /// Ids of tokens, and the mask of the positions that hold one.
    type Prepared = (TensorData, TensorData);

    fn ids(&self) -> &[usize] {
        &self.ids
    }

    fn published_len(&self) -> usize {
        self.data.files.len()
    }

    fn num_classes(&self) -> usize {
        self.data.classes.len()
    }

    fn label(&self, id: usize) -> usize {
        self.data.files[id].1
    }

    fn is_labeled(&self, _: usize) -> bool {
        self.data.labeled
    }

    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        let ids = ids.into();
        let files = self.published_len();
        if let Some(id) = ids.iter().find(|&&id| id >= files) {
            panic!("{} has {files} files, but none with id {id}.", self.name());
        }
        Self {
            ids,
            ..self.clone()
        }
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        views.check_plain(self.name(), "the bytes of files")
    }

    fn prepare(
        &self,
        shown: &[Vec<ViewedSample>],
        _: &Views,
    ) -> Result<Vec<(TensorData, TensorData)>, DataError> {
        let window = self.window();
        // Once for all views of a file.
        let mut tokens = BTreeMap::new();
        for sample in shown.iter().flatten() {
            if let Entry::Vacant(entry) = tokens.entry(sample.id) {
                entry.insert(self.tokens(sample.id)?);
            }
        }
        let view = |shown: &Vec<ViewedSample>| {
            let shape = [shown.len(), window.tokens()];
            let rows = || shown.iter().map(|sample| &tokens[&sample.id]);
            let ids = rows().flatten().map(|&token| i64::from(token));
            let mask = rows().flat_map(|row| ByteWindow::mask(row));
            (
                TensorData::new(ids.collect(), shape),
                TensorData::new(mask.collect(), shape),
            )
        };
        Ok(shown.iter().map(view).collect())
    }

    fn upload(&self, (ids, mask): (TensorData, TensorData), device: &Device) -> Tokens {
        Tokens {
            ids: Tensor::from_data(ids, device),
            mask: Tensor::from_data(mask, device),
        }
    }

    /// Passes the tokens of each file, or the error if it cannot be read.
    fn layout(&self) -> String {
        format!("{:?}", self.window())
    }

    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8])) {
        match self.tokens(id) {
            Ok(tokens) => tokens.iter().for_each(|token| sink(&token.to_le_bytes())),
            Err(error) => sink(error.to_string().as_bytes()),
        }
    }
}

impl fmt::Debug for ByteFolder {
    // Without the paths, of which there may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteFolder")
            .field("name", &self.name())
            .field("window", &self.window())
            .field("classes", &self.num_classes())
            .field("files", &self.len())
            .finish_non_exhaustive()
    }
}
