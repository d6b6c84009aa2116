use anyhow::Result;
use burn::tensor::Device;
use burn_distill::core::{Network, parameter_count};
use burn_distill_recipe::AnyNetwork;
use std::path::Path;
use std::time::{Duration, Instant};

/// Size and latency of a network.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Size of the file of its weights in bytes.
    pub bytes: u64,
    /// Size of its tensors in bytes with the quantized weights packed in their bits, if it is a
    /// quantized student.
    pub packed_bytes: Option<u64>,
    /// Median time of a forward pass of one sample, in milliseconds.
    pub latency_ms: f64,
}

impl Cost {
    /// Measures a network in validation mode, given the file of its weights.
    pub fn of(network: &AnyNetwork, file: &Path, device: &Device) -> Result<Self> {
        Ok(Self {
            parameters: parameter_count(network),
            bytes: file.metadata()?.len(),
            packed_bytes: None,
            latency_ms: latency(network, device)?.as_secs_f64() * 1e3,
        })
    }
}

/// Returns the median time of a forward pass of one sample, measured for at most about a second.
fn latency(network: &AnyNetwork, device: &Device) -> Result<Duration> {
    const RUNS: usize = 200;
    const WARM_UP: usize = 5;
    const LIMIT: Duration = Duration::from_secs(1);

    let input = network.example(1, device);
    let mut times = Vec::with_capacity(RUNS);
    let start = Instant::now();
    for run in 0..WARM_UP + RUNS {
        device.sync()?;
        let before = Instant::now();
        let response = network.forward(input.clone());
        device.sync()?;
        let time = before.elapsed();
        drop(response);
        if run >= WARM_UP {
            times.push(time);
        }
        if !times.is_empty() && start.elapsed() > LIMIT {
            break;
        }
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
