//! Files of tensors in the format SafeTensors.

use burn::tensor::{DType, TensorData};
use burn_distill_architecture::CheckpointTensor;
use burn_distill_core::WeightsFile;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::collections::BTreeMap;

/// Returns the bytes of a file with these weights. With a table, its tensors have the keys and the
/// layout of the original network.
pub(super) fn bytes_of(
    weights: &WeightsFile,
    table: Option<&[CheckpointTensor]>,
) -> Result<Vec<u8>, String> {
    let mut tensors = Vec::new();
    for (path, data) in weights.tensors() {
        let entry = match table {
            Some(table) => Some(entry_of(table, path)?),
            None => None,
        };
        let key = entry.map_or(path, |entry| &entry.original).to_string();
        let data = match entry {
            Some(entry) if entry.transposed => transposed(data)?,
            _ => data,
        };
        tensors.push((key, data));
    }
    let views = tensors.iter().map(|(key, data)| {
        let shape = data.shape().as_slice().to_vec();
        let view = TensorView::new(dtype_of(data.dtype())?, shape, data.as_bytes());
        Ok((key, view.map_err(|error| error.to_string())?))
    });
    let views = views.collect::<Result<Vec<_>, String>>()?;
    // As other libraries write it; some refuse a file without it.
    let metadata = [("format".to_string(), "pt".to_string())].into();
    serialize(views, Some(metadata)).map_err(|error| error.to_string())
}

/// Returns the weights in the bytes of a file. With a table, its tensors have the keys and the
/// layout of the original network.
pub(super) fn weights_of(
    bytes: &[u8],
    table: Option<&[CheckpointTensor]>,
) -> Result<WeightsFile, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let by_key = table.map(|table| {
        let entries = table.iter();
        let by_key: BTreeMap<_, _> = entries
            .map(|entry| (entry.original.as_str(), entry))
            .collect();
        by_key
    });
    let mut tensors = Vec::new();
    for (key, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            let found = view.dtype();
            return Err(format!(
                "`{key}` is of type {found:?}, but F32 was expected"
            ));
        }
        let (values, _) = view.data().as_chunks();
        let values: Vec<_> = values
            .iter()
            .map(|&value| f32::from_le_bytes(value))
            .collect();
        let data = TensorData::new(values, view.shape().to_vec());
        tensors.push(match &by_key {
            None => (key.to_string(), data),
            Some(by_key) => match by_key.get(key) {
                None => return Err(format!("`{key}` is not a tensor of the network")),
                Some(entry) if entry.transposed => (entry.path.clone(), transposed(data)?),
                Some(entry) => (entry.path.clone(), data),
            },
        });
    }
    Ok(WeightsFile::from_tensors(tensors))
}

fn entry_of<'a>(table: &'a [CheckpointTensor], path: &str) -> Result<&'a CheckpointTensor, String> {
    let mut entries = table.iter();
    entries
        .find(|entry| entry.path == path)
        .ok_or_else(|| format!("`{path}` is not a tensor of the original network"))
}

fn dtype_of(dtype: DType) -> Result<Dtype, String> {
    match dtype {
        DType::F32 => Ok(Dtype::F32),
        other => Err(format!(
            "tensors of type {other:?} cannot be written in this format: use `--format burnpack`"
        )),
    }
}

/// Returns the transpose of a matrix of single precision.
fn transposed(data: TensorData) -> Result<TensorData, String> {
    let shape = data.shape().clone();
    let [rows, columns] = shape[..] else {
        return Err(format!("a matrix was expected, but its shape is {shape:?}"));
    };
    let values = data
        .as_slice::<f32>()
        .map_err(|error| format!("{error:?}"))?;
    let mut flipped = Vec::with_capacity(values.len());
    for column in 0..columns {
        flipped.extend((0..rows).map(|row| values[row * columns + column]));
    }
    Ok(TensorData::new(flipped, [columns, rows]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> WeightsFile {
        WeightsFile::from_tensors([
            (
                "head.weight".to_string(),
                TensorData::new(vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]),
            ),
            (
                "norm.gamma".to_string(),
                TensorData::new(vec![7.0_f32, 8.0], [2]),
            ),
        ])
    }

    fn table() -> Vec<CheckpointTensor> {
        let entry = |original: &str, path: &str, shape: &[usize], transposed| CheckpointTensor {
            original: original.into(),
            path: path.into(),
            shape: shape.into(),
            transposed,
        };
        vec![
            entry("fc.weight", "head.weight", &[3, 2], true),
            entry("bn.weight", "norm.gamma", &[2], false),
        ]
    }

    #[test]
    fn tensors_are_written_by_their_paths_and_read_again() {
        let bytes = bytes_of(&weights(), None).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("head.weight").unwrap().shape(), [2, 3]);

        let read = weights_of(&bytes, None).unwrap();
        assert_eq!(read.checksum(), weights().checksum());
    }

    #[test]
    fn original_keys_have_the_layout_of_pytorch() {
        let bytes = bytes_of(&weights(), Some(&table())).unwrap();

        let file = SafeTensors::deserialize(&bytes).unwrap();
        let linear = file.tensor("fc.weight").unwrap();
        assert_eq!(linear.shape(), [3, 2]);
        let expected: Vec<u8> = [1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0]
            .into_iter()
            .flat_map(f32::to_le_bytes)
            .collect();
        assert_eq!(linear.data(), expected);
        let read = weights_of(&bytes, Some(&table())).unwrap();
        assert_eq!(read.checksum(), weights().checksum());
    }

    #[test]
    fn tensors_that_the_table_does_not_have_are_named() {
        let few = &table()[..1];
        let message = bytes_of(&weights(), Some(few)).unwrap_err();
        assert!(
            message.contains("`norm.gamma` is not a tensor"),
            "{message}"
        );

        let bytes = bytes_of(&weights(), Some(&table())).unwrap();
        let message = weights_of(&bytes, Some(few)).err().unwrap();
        assert!(message.contains("`bn.weight` is not a tensor"), "{message}");
        assert!(weights_of(&bytes[..20], None).is_err());
    }
}
