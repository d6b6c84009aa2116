//! Computes the logits of an ONNX file for tokens. The tokens are read as integers of 32 bits, the
//! logits are written as `f32`, both in little-endian order, and the seconds go to the error
//! output.
//!
//! ```console
//! cargo run --features onnx --example onnx_outputs -- MODEL CONFIG LENGTH BATCH < tokens > logits
//! ```

use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill_core::{Network, Tokens};
use burn_distill_interchange::{OnnxConfig, OnnxData, OnnxNetwork};
use std::error::Error;
use std::io::{Read, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, config, length, batch] = arguments.as_slice() else {
        return Err(
            "give the model, its configuration in JSON, the length and the batch size".into(),
        );
    };
    let (length, batch): (usize, usize) = (length.parse()?, batch.parse()?);
    let config: OnnxConfig = serde_json::from_str(config)?;
    let data = OnnxData {
        sample: vec![length],
        ..OnnxData::default()
    };
    let network = OnnxNetwork::<Tokens>::load(model, &config, &data)?;

    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let ids = bytes
        .chunks_exact(4)
        .map(|id| i32::from_le_bytes([id[0], id[1], id[2], id[3]]));
    let ids: Vec<i32> = ids.collect();
    let device = Device::default();
    let batches = ids.chunks(batch * length).map(|ids| {
        let shape = [ids.len() / length, length];
        Tokens {
            ids: Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), shape), &device),
            mask: Tensor::<2, Int>::ones(shape, &device).bool(),
        }
    });
    let batches: Vec<_> = batches.collect();
    for batch in batches.iter().take(1).chain(batches.last()) {
        network.forward(batch.clone());
    }

    let start = Instant::now();
    let mut output = Vec::new();
    for batch in batches {
        let response = network.forward(batch);
        let logits = response
            .classes()
            .ok_or("the output is not a row of logits")?
            .clone();
        output.extend(logits.into_data().iter::<f32>().flat_map(f32::to_le_bytes));
    }
    let seconds = start.elapsed().as_secs_f64();
    std::io::stdout().lock().write_all(&output)?;
    eprintln!("{seconds}");
    Ok(())
}
