//! Weights of a file for any module.

use burn::module::Module;
use burn_distill::interchange::{Checkpoint, KeyMap, Mapping, pytorch_layout};
use std::error::Error;
use std::path::Path;

/// Replaces the weights of a module by those in a file of PyTorch or SafeTensors.
///
/// `keys` are patterns in the names of the tensors of the file, with the replacements that give the
/// paths in the module.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or does not hold exactly the weights of the module.
pub fn import<M: Module>(
    module: M,
    file: &Path,
    keys: &[(&str, &str)],
) -> Result<(M, Checkpoint), Box<dyn Error>> {
    let checkpoint = Checkpoint::open(file)?;
    let keys = KeyMap::new(keys.iter().copied())?;
    let mapping = Mapping::new(&checkpoint, &[pytorch_layout(&module)], &keys);
    if !mapping.is_complete() {
        return Err(format!("{}: {mapping}", file.display()).into());
    }
    let weights = mapping.read(&checkpoint)?;
    Ok((module.try_load_record(weights.into_record()?)?, checkpoint))
}
