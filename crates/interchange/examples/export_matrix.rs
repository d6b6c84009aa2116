//! Exports every network of the toolkit in every format, for `docs/reference/exported.py`.
//!
//! ```sh
//! cargo run --release -p burn-distill-interchange --features export --example export_matrix -- OUT
//! ```
//!
//! `OUT/NAME/onnx` holds the ONNX file of a network, `OUT/NAME/images.f32` and `logits.f32` a batch
//! and its logits, and `OUT/matrix.json` the differences of the networks that are loaded again.

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use burn_distill_architecture::{NetworkConfig, catalog};
use burn_distill_core::{AnyInput, AnyNetwork, InputShape, Network, any_network};
use burn_distill_interchange::{ModelDescription, ModelExport, ModelFormat, TensorKeys, load};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const SHAPE: [usize; 3] = [3, 32, 32];
const CLASSES: usize = 10;
const SAMPLES: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::args_os().nth(1).map(PathBuf::from);
    let out = out.ok_or("name a folder for the exported networks")?;
    let device = Device::flex();
    device.seed(1);
    let mut rows = Map::new();
    for name in catalog().iter().map(|entry| entry.example) {
        let network = NetworkConfig::by_name(name)?.init(SHAPE, CLASSES, &device)?;
        let network = any_network(network).valid();
        let [channels, height, width] = SHAPE;
        let shape = [SAMPLES, channels, height, width];
        let images = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let row = row(name, &network, images, &out.join(name))?;
        println!("{name}: {row}");
        rows.insert(name.into(), row);
    }
    fs::write(
        out.join("matrix.json"),
        serde_json::to_string_pretty(&rows)?,
    )?;
    Ok(())
}

/// Exports a network, and returns the largest relative difference of the logits of each network that
/// is loaded again, or the reason why it could not be exported.
fn row(
    name: &str,
    network: &AnyNetwork,
    images: Tensor<4>,
    out: &Path,
) -> Result<Value, Box<dyn Error>> {
    let logits = logits(network, images.clone().into());
    fs::create_dir_all(out)?;
    fs::write(out.join("images.f32"), bytes(images.to_data().iter()))?;
    fs::write(out.join("logits.f32"), bytes(logits.iter().copied()))?;
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    let description = ModelDescription::new(network, name, InputShape::Image(SHAPE), classes, None);

    let mut row = Map::new();
    for (column, format, keys) in [
        ("burnpack", ModelFormat::Burnpack, TensorKeys::Paths),
        ("safetensors", ModelFormat::SafeTensors, TensorKeys::Paths),
        (
            "safetensors, original keys",
            ModelFormat::SafeTensors,
            TensorKeys::Original,
        ),
        ("onnx", ModelFormat::Onnx, TensorKeys::Paths),
    ] {
        let folder = out.join(column);
        let export = ModelExport::new(description.clone());
        let export = export
            .with_format(format)
            .with_keys(keys)
            .with_replace(true);
        let cell = match export.write(network, &folder, |_| String::new()) {
            Err(error) => json!(error.to_string()),
            Ok(_) if format == ModelFormat::Onnx => Value::Null,
            Ok(_) => {
                let loaded = load(&folder, &Device::flex())?;
                let found = self::logits(&loaded.network, images.clone().into());
                json!(difference(&found, &logits))
            }
        };
        row.insert(column.into(), cell);
    }
    Ok(row.into())
}

fn logits(network: &AnyNetwork, images: AnyInput) -> Vec<f32> {
    let response = network.forward(images);
    let logits = response
        .classes()
        .expect("a classifier returns class logits");
    logits.to_data().iter().collect()
}

fn bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}

/// Returns the largest difference, relative to the largest logit.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    let scale = expected
        .iter()
        .fold(f32::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0, |most, (found, expected)| {
        most.max((found - expected).abs() / scale)
    })
}
