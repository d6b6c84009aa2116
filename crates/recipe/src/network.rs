//! Random numbers of networks and losses, by seeds.

use burn::tensor::Device;
use burn_distill::core::Seed;
use std::sync::{Mutex, PoisonError};

/// Calls `draw` with a seeded generator of random numbers, that of the CPU: every backend draws
/// other numbers from a seed.
pub fn seeded<T>(seed: impl Into<Seed>, draw: impl FnOnce() -> T) -> T {
    // The whole program shares one generator: no other thread may draw from it in between.
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    Device::flex().seed(seed.into().value());
    draw()
}

/// Returns a network of the toolkit for the digits.
#[cfg(test)]
pub fn for_digits(name: &str) -> crate::input::AnyNetwork {
    let config = burn_distill::architecture::NetworkConfig::by_name(name).unwrap();
    let network = seeded(0, || config.init([1, 8, 8], 10, &Device::flex())).unwrap();
    crate::input::any_network(network)
}
