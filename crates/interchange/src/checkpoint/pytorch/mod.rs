//! Files of PyTorch: an archive, or a sequence of pickles, with the tensors.

mod agreement;
mod archive;
mod calls;
mod pickle;

use super::error::{CheckpointError, Fault};
use super::format::CheckpointFormat;
use super::tensor::{StoredTensor, Values, dtype_name};
use burn::tensor::{BoolStore, DType};
use burn_store::pytorch_reader::{self, PickleValue, PytorchError, PytorchReader};
use pickle::Scan;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

type Contents = (Vec<StoredTensor>, BTreeMap<String, String>);

/// Reads the names of the tensors, and the numbers and texts beside them.
pub(super) fn open(
    path: &Arc<PathBuf>,
    format: CheckpointFormat,
) -> Result<Contents, CheckpointError> {
    let contents = match format {
        CheckpointFormat::PyTorch => check_archive(path),
        _ => check_legacy(path),
    }
    .and_then(|()| read(path));
    contents.map_err(|fault| fault.of(path, format))
}

/// Checks an archive and its pickle.
fn check_archive(path: &PathBuf) -> Result<(), Fault> {
    let mut file = File::open(path)?;
    let members = archive::members(&mut file)?;
    agreement::check(&file, &members)?;
    let is_pickle = |name: &str| name.rsplit('/').next() == Some("data.pkl");
    let pickles: Vec<_> = members.iter().filter(|it| is_pickle(&it.name)).collect();
    let [pickle] = pickles[..] else {
        return Err(Fault::malformed(format!(
            "the archive should have one file `data.pkl`, but has {}",
            pickles.len()
        )));
    };
    if members.iter().any(|it| it.name.ends_with("/constants.pkl")) {
        return Err(Fault::refused(
            "it holds a TorchScript program: save the `state_dict()` of its network instead",
        ));
    }
    let start = archive::contents(&mut file, pickle)?;
    file.seek(SeekFrom::Start(start))?;
    let input = BufReader::new(file.take(pickle.size));
    Scan::new(input, pickle.size).pickle()
}

/// Checks the pickles of a file from before version 1.6: a number, a version, a description of the
/// system, the object, and the names of the storages, whose values follow.
fn check_legacy(path: &PathBuf) -> Result<(), Fault> {
    const PICKLES: usize = 5;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut scan = Scan::new(BufReader::new(file), length);
    (0..PICKLES).try_for_each(|index| match scan.pickle() {
        Err(Fault::Malformed(message)) if index == 1 => Err(Fault::malformed(format!(
            "it begins with a pickle, but not as PyTorch writes them ({message})"
        ))),
        scanned => scanned,
    })
}

fn read(path: &Arc<PathBuf>) -> Result<Contents, Fault> {
    let length = File::open(&**path)?.metadata()?.len();
    let mut tensors = Vec::new();
    for (name, tensor) in PytorchReader::new(&**path).map_err(fault)?.into_tensors() {
        // A view can repeat the same values any number of times.
        if tensor.byte_len() as u64 > length {
            return Err(Fault::refused(format!(
                "its tensor `{name}` of shape {:?} takes {} bytes, more than the whole file of \
                 {length}: call `.contiguous()` before it is saved",
                tensor.shape(),
                tensor.byte_len()
            )));
        }
        let dtype = burn_dtype(tensor.dtype());
        let shape = tensor.shape().to_vec();
        let values = Values::PyTorch(tensor, dtype);
        tensors.push(StoredTensor::new(
            name,
            dtype_name(dtype),
            shape,
            path,
            values,
        ));
    }
    tensors.sort_by_cached_key(|tensor| natural(&tensor.name));
    let root = PytorchReader::read_pickle_data(&**path, None).map_err(fault)?;
    Ok((tensors, texts(root)))
}

/// Returns the parts of a name, so that `layer.10` comes after `layer.9`.
fn natural(name: &str) -> Vec<(u64, String)> {
    let parts = name.split('.');
    parts
        .map(|part| match part.parse() {
            Ok(number) => (number, String::new()),
            Err(_) => (u64::MAX, part.to_string()),
        })
        .collect()
}

/// Returns the numbers and short texts at the top of a checkpoint.
fn texts(root: PickleValue) -> BTreeMap<String, String> {
    const LONGEST: usize = 200;
    let PickleValue::Dict(entries) = root else {
        return BTreeMap::new();
    };
    let entries = entries.into_iter().filter_map(|(key, value)| {
        let text = match value {
            PickleValue::Bool(value) => value.to_string(),
            PickleValue::Int(value) => value.to_string(),
            PickleValue::Float(value) => value.to_string(),
            PickleValue::String(text) if text.len() <= LONGEST => text,
            _ => return None,
        };
        Some((key, text))
    });
    entries.collect()
}

/// Returns the fault that the reader of PyTorch's files found.
fn fault(error: PytorchError) -> Fault {
    match error {
        PytorchError::Io(error) => error.into(),
        error => Fault::malformed(error.to_string()),
    }
}

fn burn_dtype(dtype: pytorch_reader::DType) -> DType {
    use pytorch_reader::DType as Theirs;
    match dtype {
        Theirs::F64 => DType::F64,
        Theirs::F32 => DType::F32,
        Theirs::F16 => DType::F16,
        Theirs::BF16 => DType::BF16,
        Theirs::I64 => DType::I64,
        Theirs::I32 => DType::I32,
        Theirs::I16 => DType::I16,
        Theirs::I8 => DType::I8,
        Theirs::U64 => DType::U64,
        Theirs::U32 => DType::U32,
        Theirs::U16 => DType::U16,
        Theirs::U8 => DType::U8,
        Theirs::Bool => DType::Bool(BoolStore::Native),
    }
}
