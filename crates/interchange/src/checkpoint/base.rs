use super::error::{CheckpointError, Fault};
use super::format::CheckpointFormat;
use super::tensor::{StoredTensor, Values, dtype_name};
use super::{pytorch, safetensors};
use burn_distill_core::WeightsFile;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tensors in a file of weights of burn, PyTorch or SafeTensors.
///
/// The format is recognized by the contents of the file. Names, types and shapes are read when the
/// file is opened, the values of a tensor [on demand](StoredTensor::read).
///
/// | Format | Files | Not read |
/// | --- | --- | --- |
/// | burn | `.bpk` | |
/// | PyTorch since 1.6 | `.pth`, `.pt`, `.bin` of `torch.save` | compressed archives, TorchScript |
/// | PyTorch before 1.6 | the same, with `_use_new_zipfile_serialization=False` | TAR archives (before 0.1.10) |
/// | SafeTensors | `.safetensors` | an index of several files |
///
/// A pickle in a file of PyTorch is not executed. It is read as a list of values, and a file whose
/// pickle names a function that runs code, such as `os.system`, is refused. Sizes are compared with
/// that of the file before memory is allocated for them.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use burn_distill_core::WeightsFile;
/// use burn_distill_interchange::{Checkpoint, CheckpointFormat};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("linear.bpk");
/// let linear = LinearConfig::new(4, 2).init(&Device::flex());
/// WeightsFile::new(linear.into_record())?.write(&path)?;
///
/// let checkpoint = Checkpoint::open(&path)?;
/// assert_eq!(checkpoint.format(), CheckpointFormat::Burnpack);
/// let weight = checkpoint.get("weight").unwrap();
/// assert_eq!((weight.dtype.as_str(), &weight.shape[..]), ("float32", &[4, 2][..]));
/// assert_eq!(weight.read()?.num_elements(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Checkpoint {
    path: Arc<PathBuf>,
    format: CheckpointFormat,
    tensors: Vec<StoredTensor>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Reads the names, types and shapes of the tensors in a file.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the place in it, if the file cannot be read, has
    /// another format, is damaged, or is refused.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let format = CheckpointFormat::of_file(&path)?;
        let path = Arc::new(path.as_ref().to_path_buf());
        let (tensors, metadata) = match format {
            CheckpointFormat::Burnpack => open_burnpack(&path)?,
            CheckpointFormat::PyTorch | CheckpointFormat::PyTorchLegacy => {
                pytorch::open(&path, format)?
            }
            CheckpointFormat::SafeTensors => {
                safetensors::open(&path).map_err(|fault| fault.of(&path, format))?
            }
        };
        if tensors.is_empty() {
            return Err(Fault::refused("it holds no tensors").of(&path, format));
        }
        Ok(Self {
            path,
            format,
            tensors,
            metadata,
        })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the format of the file.
    pub fn format(&self) -> CheckpointFormat {
        self.format
    }

    /// Returns the tensors. Those of a file of PyTorch are in the order of their names.
    pub fn tensors(&self) -> &[StoredTensor] {
        &self.tensors
    }

    /// Returns the tensor with this name, if there is one.
    pub fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Returns the metadata of the file. For a checkpoint of PyTorch, these are the numbers and
    /// short strings at its top level, such as `epoch`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

type Contents = (Vec<StoredTensor>, BTreeMap<String, String>);

fn open_burnpack(path: &Arc<PathBuf>) -> Result<Contents, CheckpointError> {
    let file = WeightsFile::read(&**path)?;
    let metadata = file.all_metadata().clone();
    let tensors = file.into_tensors().into_iter().map(|tensor| {
        let (name, shape) = (tensor.name.clone(), tensor.shape.to_vec());
        let dtype = dtype_name(tensor.dtype);
        StoredTensor::new(name, dtype, shape, path, Values::Burnpack(tensor))
    });
    Ok((tensors.collect(), metadata))
}
