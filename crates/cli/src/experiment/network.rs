use anyhow::{Context, Result};
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use burn_distill::architecture::NetworkConfig;
use burn_distill::core::DynNetwork;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A network for images, chosen by a recipe.
pub type ImageNetwork = DynNetwork<Tensor<4>>;

/// Build a network whose initial weights depend on the seed, and not on the device.
pub fn build(
    model: &NetworkConfig,
    input: [usize; 3],
    classes: usize,
    seed: u64,
    device: &Device,
) -> Result<ImageNetwork> {
    let network = seeded(seed, || model.init(input, classes, &Device::flex()))?;
    Ok(network.to_device(device))
}

/// What `draw` draws on the CPU depends on the seed alone. Every backend draws other numbers from a
/// seed, so all draw on this one.
pub fn seeded<T>(seed: u64, draw: impl FnOnce() -> T) -> T {
    // The generator is one for the whole program: nobody else may draw from it in between.
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    Device::flex().seed(seed);
    draw()
}

/// Save the weights of a module, beside their place and then renamed.
pub fn save<M: Module>(module: &M, path: &Path) -> Result<()> {
    let partial = path.with_file_name("partial.bpk");
    let record = module.valid().into_record();
    record
        .save(&partial)
        .with_context(|| format!("{}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("{}", path.display()))
}

/// The network with the weights in a file.
pub fn load(network: ImageNetwork, model: &str, path: &Path) -> Result<ImageNetwork> {
    ModuleRecord::load(path)
        .and_then(|record| network.try_load_record(record))
        .with_context(|| format!("{} does not hold the weights of a {model}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill::core::tensors;

    fn network(name: &str, seed: u64) -> (NetworkConfig, ImageNetwork) {
        let model = NetworkConfig::by_name(name).unwrap();
        let network = build(&model, [1, 8, 8], 10, seed, &Device::flex()).unwrap();
        (model, network)
    }

    #[test]
    fn weights_go_to_a_file_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");
        let (model, original) = network("convnet-4", 1);
        save(&original, &path).unwrap();

        let (_, other) = network("convnet-4", 2);
        assert_ne!(tensors(&other), tensors(&original));
        let loaded = load(other, &model.to_string(), &path).unwrap();

        assert_eq!(tensors(&loaded), tensors(&original));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");
        save(&network("convnet-4", 1).1, &path).unwrap();

        let (model, other) = network("convnet-8", 1);
        let error = load(other, &model.to_string(), &path)
            .err()
            .unwrap()
            .to_string();

        assert!(
            error.contains("does not hold the weights of a convnet-8"),
            "{error}"
        );
    }
}
