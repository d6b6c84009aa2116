use super::error::CheckpointError;
use burn::tensor::{BoolStore, DType, TensorData};
use burn_store::{burn_pack, pytorch_reader};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tensor of a checkpoint, whose values are read on demand.
#[derive(Clone)]
pub struct StoredTensor {
    /// Name in the checkpoint.
    pub name: String,
    /// Type of the elements, as in `float32`.
    pub dtype: String,
    /// Shape.
    pub shape: Vec<usize>,
    path: Arc<PathBuf>,
    values: Values,
}

/// Place of the values of a tensor.
#[derive(Clone)]
pub(super) enum Values {
    /// A tensor of a file of burn, in memory.
    Burnpack(burn_pack::Tensor),
    /// A tensor of a file of PyTorch.
    PyTorch(pytorch_reader::Tensor, DType),
    /// Bytes of a file, from a position.
    Range {
        /// Position of the first byte.
        start: u64,
        /// Number of bytes.
        length: usize,
        /// Type of the elements, if burn has it.
        dtype: Option<DType>,
    },
}

impl StoredTensor {
    pub(super) fn new(
        name: String,
        dtype: String,
        shape: Vec<usize>,
        path: &Arc<PathBuf>,
        values: Values,
    ) -> Self {
        Self {
            name,
            dtype,
            shape,
            path: path.clone(),
            values,
        }
    }

    /// Returns the number of elements, or the largest number if there are more.
    pub fn elements(&self) -> usize {
        // The shape of a quantized tensor in a damaged file can be any.
        let sizes = self.shape.iter();
        sizes.fold(1, |count: usize, &size| count.saturating_mul(size))
    }

    /// Reads the values.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file and the tensor if the values cannot be read, or if burn
    /// does not support their type.
    pub fn read(&self) -> Result<TensorData, CheckpointError> {
        self.read_values()
            .map_err(|message| CheckpointError::Tensor {
                path: self.path.to_path_buf(),
                tensor: self.name.clone(),
                message,
            })
    }

    fn read_values(&self) -> Result<TensorData, String> {
        let (mut bytes, dtype) = match &self.values {
            Values::Burnpack(tensor) if matches!(tensor.dtype, DType::QFloat(_)) => {
                return Err("it is quantized, which is not supported".into());
            }
            Values::Burnpack(tensor) => {
                let bytes = tensor.to_bytes().map_err(|error| error.to_string())?;
                (bytes.to_vec(), tensor.dtype)
            }
            Values::PyTorch(tensor, dtype) => {
                (tensor.read().map_err(|error| error.to_string())?, *dtype)
            }
            Values::Range {
                start,
                length,
                dtype,
            } => {
                let dtype = dtype.ok_or_else(|| {
                    format!(
                        "its elements are of the type {}, which is not supported: save it as \
                         float16 or float32",
                        self.dtype
                    )
                })?;
                let bytes = read_range(&self.path, *start, *length);
                (bytes.map_err(|error| error.to_string())?, dtype)
            }
        };
        let expected = self.elements() * dtype.size();
        if bytes.len() != expected {
            return Err(format!(
                "it has {} bytes instead of {expected}",
                bytes.len()
            ));
        }
        if dtype == DType::Bool(BoolStore::Native) {
            bytes
                .iter_mut()
                .for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Ok(TensorData::from_bytes_vec(bytes, self.shape.clone(), dtype))
    }
}

/// Reads bytes of a file whose length was compared with that of the file.
fn read_range(path: &Path, start: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Returns the name of a type of burn in PyTorch.
pub(super) fn dtype_name(dtype: DType) -> String {
    let name = match dtype {
        DType::F64 => "float64",
        DType::F32 | DType::Flex32 => "float32",
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
        DType::I64 => "int64",
        DType::I32 => "int32",
        DType::I16 => "int16",
        DType::I8 => "int8",
        DType::U64 => "uint64",
        DType::U32 => "uint32",
        DType::U16 => "uint16",
        DType::U8 => "uint8",
        DType::Bool(_) => "bool",
        DType::QFloat(_) => "quantized",
    };
    name.into()
}
