//! Files of SafeTensors: a length, a header in JSON, and the values of the tensors.

use super::error::Fault;
use super::tensor::{StoredTensor, Values, dtype_name};
use burn::tensor::{BoolStore, DType};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// Largest header in bytes. A tensor takes some 100 of them, and their parsed form is larger.
const LARGEST_HEADER: u64 = 1 << 24;

/// Number of bytes of the length of the header.
const LENGTH: u64 = 8;

/// Reads the names of the tensors and the metadata.
pub(super) fn open(
    path: &Arc<PathBuf>,
) -> Result<(Vec<StoredTensor>, BTreeMap<String, String>), Fault> {
    let mut file = File::open(&**path)?;
    let size = file.metadata()?.len();
    let mut length = [0; LENGTH as usize];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    // Before anything of that length is allocated.
    if length > size.saturating_sub(LENGTH) {
        return Err(Fault::malformed(format!(
            "its header should be of {length} bytes, but the file has {size}"
        )));
    }
    if length > LARGEST_HEADER {
        return Err(Fault::refused(format!(
            "its header is of {length} bytes, but at most {LARGEST_HEADER} are read"
        )));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| Fault::malformed(format!("its header is not valid: {error}")))?;
    let data = size - LENGTH - length;
    if metadata.data_len() as u64 != data {
        return Err(Fault::malformed(format!(
            "its header describes {} bytes of tensors, but the file has {data}",
            metadata.data_len()
        )));
    }
    let texts = metadata.metadata().iter().flatten();
    let texts = texts.map(|(key, text)| (key.clone(), text.clone()));
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else {
            continue;
        };
        let (start, end) = info.data_offsets;
        let dtype = burn_dtype(info.dtype);
        let values = Values::Range {
            start: LENGTH + length + start as u64,
            length: end - start,
            dtype,
        };
        let dtype = dtype.map_or_else(|| format!("{:?}", info.dtype).to_lowercase(), dtype_name);
        tensors.push(StoredTensor::new(
            name,
            dtype,
            info.shape.clone(),
            path,
            values,
        ));
    }
    Ok((tensors, texts.collect()))
}

fn burn_dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::I16 => DType::I16,
        Dtype::U16 => DType::U16,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::I64 => DType::I64,
        Dtype::U64 => DType::U64,
        _ => return None,
    })
}
