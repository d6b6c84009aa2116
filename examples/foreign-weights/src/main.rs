//! Compares networks of burn, with the weights of Python packages, with the originals.

use burn::tensor::Device;
use foreign_weights::models::{Array, largest, run};
use serde::Deserialize;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

/// Largest difference, relative to the root mean square of an output of the original.
const TOLERANCE: f32 = 1e-4;

/// An original and its outputs, which `docs/reference/real_models/real_models.py` writes.
#[derive(Deserialize)]
struct Original {
    /// Name in [`run`].
    model: String,
    /// Package with its version.
    package: String,
    /// File with the weights.
    file: PathBuf,
    input: Array,
    outputs: Vec<Array>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or_else(|| "target/real-models.json".into());
    let text = fs::read_to_string(&path).map_err(|error| {
        format!("{path}: {error}; docs/reference/real_models/real_models.py writes it")
    })?;
    let originals: Vec<Original> =
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    let device = Device::default();

    println!("| Model | File | Format | Tensors | Values | Largest difference |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut failed = Vec::new();
    for original in &originals {
        let (outputs, checkpoint) = run(&original.model, &original.file, &original.input, &device)?;
        let pairs = outputs.iter().zip(&original.outputs);
        let largest = largest(pairs.map(|(ours, other)| ours.difference(other)));
        // A NaN fails too.
        if !(largest < TOLERANCE && outputs.len() == original.outputs.len()) {
            failed.push(original.model.as_str());
        }
        let tensors = checkpoint.tensors();
        println!(
            "| {} | {}: `{}` | {} | {} | {} | {largest:.1e} |",
            original.model,
            original.package,
            original.file.file_name().unwrap_or_default().display(),
            checkpoint.format(),
            tensors.len(),
            tensors.iter().map(|it| it.elements()).sum::<usize>(),
        );
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("above {TOLERANCE:e}: {}", failed.join(", ")).into()),
    }
}
