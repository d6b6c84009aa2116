use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill::architecture::NetworkConfig;
use burn_distill::core::{DynNetwork, Seed};
use std::sync::{Mutex, PoisonError};

/// A network for images, chosen by a recipe.
pub type ImageNetwork = DynNetwork<Tensor<4>>;

/// Build a network whose initial weights depend on the seed, and not on the device.
pub fn build(
    model: &NetworkConfig,
    input: [usize; 3],
    classes: usize,
    seed: impl Into<Seed>,
    device: &Device,
) -> Result<ImageNetwork> {
    let network = seeded(seed, || model.init(input, classes, &Device::flex()))?;
    Ok(network.to_device(device))
}

/// What `draw` draws on the CPU depends on the seed alone. Every backend draws other numbers from a
/// seed, so all draw on this one.
pub fn seeded<T>(seed: impl Into<Seed>, draw: impl FnOnce() -> T) -> T {
    // The generator is one for the whole program: nobody else may draw from it in between.
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    Device::flex().seed(seed.into().value());
    draw()
}
