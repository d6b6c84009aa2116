use crate::{hexadecimal, write_atomically};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{DType, TensorData};
use burn_pack::{Bytes, Reader, Tensor, Writer};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The key of the checksum in the metadata of a file.
const CHECKSUM: &str = "sha256";

/// A file with the weights of a module, a checksum and metadata on the origin of the weights.
///
/// The file has burn's format (`.bpk`), and [`ModuleRecord::load`] reads it as well. It differs
/// from a file of [`ModuleRecord::save`] in three ways:
///
/// | Part | Purpose |
/// | --- | --- |
/// | no parameter ids | burn draws them at random: without them, equal weights make equal files |
/// | a checksum, `sha256` | a damaged file is refused when it is read |
/// | any other [metadata](Self::with_metadata) | the origin of the weights |
///
/// A checkpoint is not such a file: it needs the ids, by which an optimizer finds its state.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use burn_distill_core::WeightsFile;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.bpk");
/// let linear = LinearConfig::new(4, 2).init(&Device::flex());
/// WeightsFile::new(linear.clone().into_record())?
///     .with_metadata("network", "linear")
///     .write(&path)?;
///
/// let file = WeightsFile::read(&path)?;
/// assert_eq!(file.metadata("network"), Some("linear"));
/// assert_eq!(file.shapes()["weight"], [4, 2]);
/// let linear = linear.load_record(file.into_record()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WeightsFile {
    /// Tensors in the order of their names.
    tensors: Vec<Tensor>,
    metadata: BTreeMap<String, String>,
}

/// The reason why a file of weights cannot be used.
#[derive(thiserror::Error)]
pub enum WeightsError {
    /// The file does not exist.
    #[error("{}: file not found{}", path.display(), resolved(path))]
    NotFound {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// The file has another format, or is incomplete.
    #[error("{}: not a whole file of weights in burn's format (.bpk): {message}", path.display())]
    Format {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        message: String,
    },
    /// The weights do not have the checksum that was written with them.
    #[error(
        "{}: the weights do not have the checksum that was written with them; the file is damaged: \
         restore it or train again",
        path.display()
    )]
    Damaged {
        /// Path of the file.
        path: PathBuf,
    },
}

crate::debug_as_display!(WeightsError);

/// Returns the absolute form of a relative path, in brackets, for an error message.
fn resolved(path: &Path) -> String {
    match std::path::absolute(path) {
        Ok(absolute) if absolute != path => format!(" ({})", absolute.display()),
        _ => String::new(),
    }
}

impl WeightsFile {
    /// Creates a file from the weights of a record, without writing it.
    ///
    /// # Errors
    ///
    /// Returns an error if the weights cannot be read from their device.
    pub fn new(record: ModuleRecord) -> Result<Self, RecordError> {
        let mut tensors = Reader::from_bytes(record.into_bytes()?)?.into_tensors()?;
        for tensor in &mut tensors {
            tensor.param_id = None;
        }
        Ok(Self::of(tensors, BTreeMap::new()))
    }

    /// Reads a file that was written by [`write`](Self::write) or by burn.
    ///
    /// # Errors
    ///
    /// Returns an error with the path if the file does not exist, cannot be read, is not a file of
    /// weights or is damaged.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref().to_path_buf();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(WeightsError::NotFound { path });
            }
            Err(source) => return Err(WeightsError::Io { path, source }),
        };
        let parsed = Reader::from_bytes(Bytes::from_bytes_vec(bytes)).and_then(|reader| {
            let metadata = reader.metadata().clone();
            Ok(Self::of(reader.into_tensors()?, metadata))
        });
        let file = match parsed {
            Ok(file) => file,
            Err(error) => {
                let message = error.to_string();
                return Err(WeightsError::Format { path, message });
            }
        };
        match file.metadata(CHECKSUM) {
            Some(expected) if expected != file.checksum() => Err(WeightsError::Damaged { path }),
            _ => Ok(file),
        }
    }

    /// Sets the text of a key in the metadata.
    pub fn with_metadata(mut self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), text.into());
        self
    }

    /// Returns the text of a key in the metadata, if there is one.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Returns the texts of all keys in the metadata.
    pub fn all_metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Returns the tensors in the order of their paths, as they are in the file.
    pub fn into_tensors(self) -> Vec<Tensor> {
        self.tensors
    }

    /// Returns the shape of every tensor by its path in the module.
    pub fn shapes(&self) -> BTreeMap<&str, &[usize]> {
        let tensors = self.tensors.iter();
        tensors
            .map(|tensor| (tensor.name.as_str(), &tensor.shape[..]))
            .collect()
    }

    /// Creates a file from tensors by their paths in the module, such as those of a file in another
    /// format, without writing it.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, TensorData)>) -> Self {
        let tensors = tensors.into_iter().map(|(path, data)| {
            let (dtype, shape) = (data.dtype(), data.shape().clone());
            Tensor::new(path, dtype, shape, None, data.into_bytes())
        });
        Self::of(tensors.collect(), BTreeMap::new())
    }

    /// Returns every tensor with its path in the module, in the order of the paths.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, TensorData)> {
        let tensors = self.tensors.iter();
        tensors.map(|tensor| (tensor.name.as_str(), data_of(tensor)))
    }

    /// Returns the type of each tensor with its path, without reading the values.
    pub fn dtypes(&self) -> impl Iterator<Item = (&str, DType)> {
        let tensors = self.tensors.iter();
        tensors.map(|tensor| (tensor.name.as_str(), tensor.dtype))
    }

    /// Returns the path of the first tensor with a value that is NaN or infinite, if there is one.
    pub fn first_not_finite(&self) -> Option<&str> {
        let mut tensors = self.tensors.iter();
        let found = tensors.find(|tensor| tensor.dtype.is_float() && !is_finite(tensor));
        found.map(|tensor| tensor.name.as_str())
    }

    /// Returns the SHA-256 of the weights, in hexadecimal. It covers paths, types, shapes and
    /// values, but neither parameter ids nor metadata.
    pub fn checksum(&self) -> String {
        let mut hasher = Sha256::new();
        for tensor in &self.tensors {
            let shape: Vec<_> = tensor.shape.iter().collect();
            let bytes = bytes_of(tensor);
            hasher.update(format!(
                "{:?} {:?} {shape:?} {}\n",
                tensor.name,
                tensor.dtype,
                bytes.len()
            ));
            hasher.update(&bytes[..]);
        }
        hexadecimal(hasher.finalize())
    }

    /// Writes the file under a temporary name and then renames it.
    ///
    /// # Errors
    ///
    /// Returns an error with the path if the file cannot be written.
    pub fn write(self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        let path = path.as_ref();
        let checksum = self.checksum();
        let mut writer = Writer::new(self.tensors);
        for (key, text) in &self.metadata {
            writer = writer.with_metadata(key, text);
        }
        let written = writer.with_metadata(CHECKSUM, &checksum).into_bytes();
        let written = written.map_err(io::Error::other);
        written
            .and_then(|bytes| write_atomically(path, &bytes))
            .map_err(|source| WeightsError::Io {
                path: path.to_path_buf(),
                source,
            })
    }

    /// Returns the weights alone in burn's format, without checksum and metadata.
    ///
    /// # Errors
    ///
    /// Returns an error if a tensor is not well-formed.
    pub fn into_plain_bytes(mut self) -> io::Result<Vec<u8>> {
        // Each tensor is padded but the last, so the file is smallest with the smallest one last.
        let tensors = &mut self.tensors;
        tensors.sort_by_key(|tensor| Reverse(tensor.byte_len()));
        let written = Writer::new(self.tensors).into_bytes();
        Ok(written.map_err(io::Error::other)?.to_vec())
    }

    /// Returns the weights as a record, which a module can load.
    ///
    /// # Errors
    ///
    /// Returns an error if a tensor is not well-formed.
    pub fn into_record(self) -> Result<ModuleRecord, RecordError> {
        ModuleRecord::from_bytes(Writer::new(self.tensors).into_bytes()?)
    }

    fn of(mut tensors: Vec<Tensor>, metadata: BTreeMap<String, String>) -> Self {
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Self { tensors, metadata }
    }
}

fn bytes_of(tensor: &Tensor) -> Bytes {
    let bytes = tensor.to_bytes();
    let bytes = bytes.expect("The tensors of a reader are in memory.");
    // A copy: in a file that burn has not written, a tensor may begin at any byte.
    Bytes::from_bytes_vec(bytes.to_vec())
}

fn data_of(tensor: &Tensor) -> TensorData {
    TensorData::from_bytes(bytes_of(tensor), tensor.shape.clone(), tensor.dtype)
}

fn is_finite(tensor: &Tensor) -> bool {
    data_of(tensor).iter::<f64>().all(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Module, Param};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor as BurnTensor};

    fn linear(value: f32) -> Linear {
        let device = Device::flex();
        let mut linear = LinearConfig::new(3, 2).with_bias(false).init(&device);
        linear.weight = Param::from_tensor(BurnTensor::full([3, 2], value, &device));
        linear
    }

    fn written(linear: Linear) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");
        let file = WeightsFile::new(linear.into_record()).unwrap();
        file.with_metadata("a", "b").write(&path).unwrap();
        (folder, path)
    }

    fn error(path: &Path) -> String {
        WeightsFile::read(path).err().unwrap().to_string()
    }

    #[test]
    fn equal_weights_make_equal_files() {
        let other = linear(1.0).load_record(linear(2.0).into_record());
        let [first, second, other] = [linear(1.0), linear(1.0), other].map(written);

        assert_eq!(fs::read(&first.1).unwrap(), fs::read(&second.1).unwrap());
        assert_ne!(fs::read(&first.1).unwrap(), fs::read(&other.1).unwrap());
    }

    #[test]
    fn a_record_of_burn_reads_what_was_written() {
        let (_folder, path) = written(linear(1.5));

        let loaded = linear(0.0).load_record(ModuleRecord::load(&path).unwrap());
        let loaded = loaded.weight.val().into_data();
        loaded.assert_eq(&linear(1.5).weight.val().into_data(), true);
    }

    #[test]
    fn a_file_of_burn_is_read_without_metadata() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");
        linear(1.5).into_record().save(&path).unwrap();

        let file = WeightsFile::read(&path).unwrap();
        assert_eq!(file.metadata("sha256"), None);
        assert_eq!(file.shapes()["weight"], [3, 2]);
        let (_folder, same) = written(linear(1.5));
        assert_ne!(fs::read(&path).unwrap(), fs::read(&same).unwrap());
    }

    #[test]
    fn the_error_about_a_missing_file_has_its_absolute_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");

        assert_eq!(error(&path), format!("{}: file not found", path.display()));
        let relative = error(Path::new("no-such-folder/model.bpk"));
        let current = std::env::current_dir().unwrap();
        let expected = format!(
            "no-such-folder/model.bpk: file not found ({}/no-such-folder/model.bpk)",
            current.display()
        );
        assert_eq!(relative, expected);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();

        let message = error(folder.path());
        assert!(!message.contains("not found"), "{message}");
        assert!(message.contains("directory"), "{message}");
    }

    #[test]
    fn other_files_and_truncated_files_are_refused() {
        let (_folder, path) = written(linear(1.0));
        let whole = fs::read(&path).unwrap();
        for bytes in [
            b"not weights".to_vec(),
            Vec::new(),
            whole[..whole.len() - 4].to_vec(),
        ] {
            fs::write(&path, bytes).unwrap();
            let message = error(&path);
            assert!(message.contains("not a whole file of weights"), "{message}");
        }
    }

    #[test]
    fn changed_weights_are_refused() {
        let (_folder, path) = written(linear(1.0));
        let mut bytes = fs::read(&path).unwrap();
        let one = 1f32.to_le_bytes();
        let place = bytes.windows(4).position(|window| window == one).unwrap();
        bytes[place..place + 4].copy_from_slice(&2f32.to_le_bytes());
        fs::write(&path, bytes).unwrap();

        assert!(error(&path).contains("the file is damaged"));
    }

    #[test]
    fn the_first_tensor_that_is_not_finite_is_returned() {
        for value in [f32::NAN, f32::INFINITY] {
            let file = WeightsFile::new(linear(value).into_record()).unwrap();
            assert_eq!(file.first_not_finite(), Some("weight"));
        }
        let file = WeightsFile::new(linear(f32::MAX).into_record()).unwrap();
        assert_eq!(file.first_not_finite(), None);
    }

    #[test]
    fn a_tensor_may_begin_at_any_byte_of_a_file() {
        let linear = LinearConfig::new(3, 2).init(&Device::flex());
        let mut bytes = linear.into_record().into_bytes().unwrap().to_vec();
        // The six values of the weight, from 0 to 24 as a list of two numbers in CBOR.
        let offsets = b"data_offsets\x82\x00\x18\x18";
        let mut places = bytes.windows(offsets.len());
        let end = places.position(|it| it == offsets).unwrap() + offsets.len();
        bytes[end - 3..end].copy_from_slice(&[1, 0x18, 25]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");
        fs::write(&path, bytes).unwrap();

        let file = WeightsFile::read(&path).unwrap();

        assert_eq!(file.tensors().count(), 2);
        file.first_not_finite();
        file.into_record().unwrap();
    }

    #[test]
    fn tensors_are_returned_in_the_order_of_their_paths_and_make_the_same_file() {
        let linear = LinearConfig::new(3, 2).init(&Device::flex());
        let file = WeightsFile::new(linear.into_record()).unwrap();

        let tensors: Vec<_> = file
            .tensors()
            .map(|(path, data)| (path.to_string(), data))
            .collect();
        let listed: Vec<_> = tensors
            .iter()
            .map(|(path, data)| (path.as_str(), data.shape().as_slice()))
            .collect();
        assert_eq!(listed, [("bias", &[2][..]), ("weight", &[3, 2])]);
        let again = WeightsFile::from_tensors(tensors.into_iter().rev());
        assert_eq!(again.checksum(), file.checksum());
    }

    #[test]
    fn the_checksum_covers_only_the_weights() {
        let checksum = |linear: Linear| WeightsFile::new(linear.into_record()).unwrap().checksum();

        assert_eq!(checksum(linear(1.0)), checksum(linear(1.0)));
        assert_ne!(checksum(linear(1.0)), checksum(linear(2.0)));
        let (_folder, path) = written(linear(1.0));
        let read = WeightsFile::read(&path).unwrap();
        assert_eq!(read.checksum(), checksum(linear(1.0)));
    }
}
