//! Evaluation of a model on other data than that of its training.

use burn::tensor::Device;
use burn_distill::architecture::MlpConfig;
use burn_distill::data::{Normalization, digits};
use burn_distill::interchange::{ArchitectureDescription, Model, ModelDescription};
use burn_distill_experiment::{Data, Evaluation, Part, check_data};
use burn_distill_recipe::{DataRecipe, InputShape, Registry, any_network};
use std::fs;
use std::path::Path;

fn write_npy(path: &Path, shape: &str, content: &[u8]) {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n");
    let length = (header.len() as u16).to_le_bytes();
    let header = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat();
    fs::write(path, [&header, content].concat()).unwrap();
}

/// Writes digits whose pixels are times a factor, and returns their recipe.
fn scaled_digits(folder: &Path, factor: u8) -> DataRecipe {
    let digits = digits();
    let pixels: Vec<_> = (0..200)
        .flat_map(|id| digits.pixels(id).iter().map(move |&pixel| factor * pixel))
        .collect();
    let labels: Vec<_> = (0..200).map(|id| digits.label(id) as u8).collect();
    let [x, y] = ["x", "y"].map(|name| folder.join(format!("{name}-{factor}.npy")));
    write_npy(&x, "(200, 1, 8, 8)", &pixels);
    write_npy(&y, "(200,)", &labels);
    let keys = format!("arrays = '{}'\nlabels = '{}'", x.display(), y.display());
    keys.parse::<toml::Table>().unwrap().try_into().unwrap()
}

#[test]
fn other_images_are_normalized_as_those_of_the_training_of_the_model() {
    let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
    let registry = Registry::standard();
    let [trained_on, other] = [3, 15].map(|factor| scaled_digits(folder.path(), factor));
    let measured = |recipe: &DataRecipe| -> Normalization {
        let data = Data::load(recipe, &registry).unwrap();
        data.provenance("mlp-4", "student", 0)
            .normalization
            .unwrap()
    };
    let constants = measured(&trained_on);
    assert_ne!(measured(&other), constants);

    let network = MlpConfig::new(vec![4], [1, 8, 8], 10).init(&device);
    let architecture = ArchitectureDescription {
        name: "mlp-4".into(),
        options: serde_json::Map::new(),
    };
    let classes = (0..10).map(|class| class.to_string()).collect();
    let description = ModelDescription::new(
        &network,
        architecture,
        InputShape::Image([1, 8, 8]),
        classes,
        Some(constants.clone()),
    );
    let network = any_network(network);
    let model = Model::new(network, description, &device);

    let data = Data::load_for(&model.description, &other, &registry).unwrap();
    let used = data.provenance("mlp-4", "student", 0).normalization;
    assert_eq!(used, Some(constants));
    let warning = check_data(&model.description, &data, Part::Test).unwrap();
    assert!(warning.unwrap().contains("does not record its data"));
    let evaluation = Evaluation::of(&model, &data, Part::Test, &device).unwrap();
    assert_eq!(evaluation.samples, data.sizes()[2]);

    // The constants of the other data would be those of other images.
    let data = Data::load(&other, &registry).unwrap();
    let error = check_data(&model.description, &data, Part::Test).unwrap_err();
    assert!(error.to_string().contains("are normalized by"), "{error}");
}
