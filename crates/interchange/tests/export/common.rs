use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use burn_distill_architecture::NetworkConfig;
use burn_distill_core::{AnyInput, AnyNetwork, Input, InputShape, Network, any_network};
use burn_distill_data::Normalization;
use burn_distill_interchange::{ModelDescription, ModelExport};
use std::path::{Path, PathBuf};

pub const SHAPE: [usize; 3] = [1, 8, 8];

pub fn classes(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

/// A network of the toolkit with running statistics that are not those of its start.
pub fn network(name: &str, shape: [usize; 3], count: usize) -> AnyNetwork {
    let device = Device::flex();
    let network = NetworkConfig::by_name(name)
        .unwrap()
        .init(shape, count, &device.clone().autodiff())
        .unwrap();
    let [channels, height, width] = shape;
    let images = Tensor::random(
        [4, channels, height, width],
        Distribution::Default,
        &device.autodiff(),
    );
    let network = network.train();
    network.forward(images);
    any_network(network.valid())
}

pub fn description(name: &str, network: &AnyNetwork, shape: [usize; 3]) -> ModelDescription {
    let normalization = Normalization {
        mean: vec![0.25; shape[0]],
        std: vec![0.5; shape[0]],
    };
    let logits = logits(network, network.example(1, &Device::flex()));
    ModelDescription::new(
        network,
        name,
        InputShape::Image(shape),
        classes(logits.len()),
        Some(normalization),
    )
}

/// Writes an export of a network beside other files of a test.
pub fn written(
    network: &AnyNetwork,
    name: &str,
    folder: &Path,
    settings: impl FnOnce(ModelExport) -> ModelExport,
) -> PathBuf {
    let export = settings(ModelExport::new(description(name, network, SHAPE)));
    let folder = folder.join("model");
    export
        .write(network, &folder, |_| "A model.".into())
        .unwrap();
    folder
}

pub fn images(samples: usize, shape: [usize; 3]) -> AnyInput {
    let [channels, height, width] = shape;
    let shape = [samples, channels, height, width];
    Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex()).into()
}

pub fn logits(network: &AnyNetwork, input: AnyInput) -> Vec<f32> {
    assert!(!input.is_empty());
    let response = network.forward(input);
    let logits = response.classes().unwrap().clone().into_data();
    logits.iter().collect()
}
