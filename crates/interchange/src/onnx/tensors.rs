//! Checks of the constants of a file, before memory is reserved for them.

use super::value::kind_of;
use std::fs;
use std::path::{Component, Path, PathBuf};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, TensorProto};

/// Largest number of elements of a constant.
const MOST_ELEMENTS: u64 = 1 << 40;

/// Largest number of axes of a constant.
const MOST_AXES: usize = 16;

/// Returns all constants of a graph, each with a description of its place.
pub fn all(graph: &GraphProto) -> impl Iterator<Item = (String, &TensorProto)> {
    let named = graph.initializer.iter();
    let named = named.map(|tensor| (format!("the constant `{}`", tensor.name), tensor));
    let of_nodes = graph.node.iter().flat_map(|node| {
        node.attribute.iter().flat_map(move |attribute| {
            let tensors = attribute.t.iter().chain(&attribute.tensors);
            tensors.map(move |tensor| {
                let place = format!("the `{}` of the node `{}`", attribute.name, node.name);
                (place, tensor)
            })
        })
    });
    named.chain(of_nodes)
}

/// Checks all constants of a graph, and returns the further files that hold them, each once.
///
/// # Errors
///
/// Returns a sentence that names the constant if it is incomplete, or if its type is not supported.
pub fn check_all(graph: &GraphProto, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for (place, tensor) in all(graph) {
        let file = check(tensor, folder).map_err(|fault| format!("{place} {fault}"))?;
        if let Some(file) = file
            && !files.contains(&file)
        {
            files.push(file);
        }
    }
    Ok(files)
}

/// Returns whether a type is one of floating-point numbers.
pub fn is_float(data_type: i32) -> bool {
    matches!(
        DataType::try_from(data_type),
        Ok(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16)
    )
}

/// Returns the number of elements of a checked constant.
pub fn elements(tensor: &TensorProto) -> u64 {
    tensor
        .dims
        .iter()
        .map(|&size| size.unsigned_abs())
        .product()
}

/// Returns the size of an element in bytes; none for text and for types that are not supported.
fn size_of(data_type: i32) -> Option<u64> {
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Bool | DataType::Uint8 | DataType::Int8 => 1,
        DataType::Uint16 | DataType::Int16 | DataType::Float16 => 2,
        DataType::Uint32 | DataType::Int32 | DataType::Float => 4,
        DataType::Uint64 | DataType::Int64 | DataType::Double => 8,
        _ => return None,
    })
}

/// Checks a constant, and returns the file that holds it if it is another one.
fn check(tensor: &TensorProto, folder: &Path) -> Result<Option<PathBuf>, String> {
    if tensor.dims.len() > MOST_AXES {
        return Err(format!(
            "has {} axes, but there should be at most {MOST_AXES}",
            tensor.dims.len()
        ));
    }
    if let Some(size) = tensor.dims.iter().find(|size| **size < 0) {
        return Err(format!(
            "has an axis of size {size}, but sizes are not negative"
        ));
    }
    // An axis of size 0 does not make the others harmless: runtimes multiply them, too.
    let mut sizes = tensor.dims.iter().map(|size| size.unsigned_abs().max(1));
    if sizes
        .try_fold(1_u64, u64::checked_mul)
        .is_none_or(|count| count > MOST_ELEMENTS)
    {
        return Err(promises(tensor, stored(tensor), "values"));
    }
    let mut sizes = tensor.dims.iter();
    let elements = sizes.try_fold(1_u64, |count, &size| count.checked_mul(size.unsigned_abs()));
    let bytes = |width: u64| elements.and_then(|count| count.checked_mul(width));
    let is_text = tensor.data_type == DataType::String as i32;
    let width = size_of(tensor.data_type);
    let (Some(width), false) = (width, is_text) else {
        return match is_text {
            true if elements == Some(tensor.string_data.len() as u64) => {
                let utf8 = |text: &Vec<u8>| std::str::from_utf8(text).is_ok();
                match tensor.string_data.iter().all(utf8) {
                    true => Ok(None),
                    false => Err("holds text that is not in UTF-8".into()),
                }
            }
            true => Err(promises(tensor, tensor.string_data.len() as u64, "texts")),
            false => Err(format!(
                "is of {}, a type of numbers that is not supported: export the model in float32 or \
                 float16",
                kind_of(tensor.data_type)
            )),
        };
    };
    let expected = bytes(width);
    if !tensor.raw_data.is_empty() {
        let found = tensor.raw_data.len() as u64;
        return match expected == Some(found) {
            true => Ok(None),
            false => Err(promises(tensor, found, "bytes")),
        };
    }
    if tensor.data_location == Some(DataLocation::External as i32) {
        return external(tensor, folder, expected).map(Some);
    }
    let found = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => tensor.float_data.len(),
        Ok(DataType::Double) => tensor.double_data.len(),
        // As the runtime reads them.
        Ok(DataType::Int64 | DataType::Uint64) => tensor.int64_data.len(),
        _ => tensor.int32_data.len(),
    };
    match elements == Some(found as u64) {
        true => Ok(None),
        false => Err(promises(tensor, found as u64, "numbers")),
    }
}

/// Returns the number of values or bytes in the file itself.
fn stored(tensor: &TensorProto) -> u64 {
    let counts = [
        tensor.raw_data.len(),
        tensor.float_data.len(),
        tensor.double_data.len(),
        tensor.int32_data.len(),
        tensor.int64_data.len(),
        tensor.uint64_data.len(),
        tensor.string_data.len(),
    ];
    counts.into_iter().max().unwrap_or_default() as u64
}

fn promises(tensor: &TensorProto, found: u64, unit: &str) -> String {
    format!(
        "has the shape {:?} of {} elements, but the file holds {found} {unit} for it: the file is damaged",
        tensor.dims,
        kind_of(tensor.data_type)
    )
}

/// Checks a constant in another file, and returns the file.
fn external(tensor: &TensorProto, folder: &Path, expected: Option<u64>) -> Result<PathBuf, String> {
    let entry = |key: &str| {
        let mut entries = tensor.external_data.iter();
        entries
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.as_str())
    };
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
            format!(
                "is in another file at the {key} `{text}`, which should be a whole number from 0"
            )
        }),
    };
    let location = entry("location").ok_or("is in another file, which is not named")?;
    let inside = Path::new(location)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || location.is_empty() {
        return Err(format!(
            "is in the file `{location}`, but only files in the folder of the model are read: move the file \
             there, and export the model again"
        ));
    }
    let path = folder.join(location);
    let resolved = path
        .canonicalize()
        .and_then(|file| Ok((file, folder.canonicalize()?)));
    let (file, folder) = resolved.map_err(|error| {
        format!(
            "is in the file {}, which cannot be read ({error}): put it beside the model",
            path.display()
        )
    })?;
    if !file.starts_with(&folder) {
        return Err(format!(
            "is in the file `{location}`, a link to a file outside of the folder of the model"
        ));
    }
    let size = fs::metadata(&file).map_err(|error| format!("is in {location}: {error}"))?;
    let (size, is_file) = (size.len(), size.is_file());
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.or(size.checked_sub(offset));
    let end = length.and_then(|length| offset.checked_add(length));
    let fits = is_file && length == expected && end.is_some_and(|end| end <= size);
    match fits {
        true => Ok(path),
        false => Err(format!(
            "should be in the file {location} of {size} bytes, at byte {offset}, with the shape {:?} of {} \
             elements, which does not fit: the file is damaged or belongs to another model",
            tensor.dims,
            kind_of(tensor.data_type)
        )),
    }
}
