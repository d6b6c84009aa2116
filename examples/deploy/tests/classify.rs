//! The program with an exported network.

use burn::module::Module;
use burn::tensor::Device;
use burn_distill_architecture::NetworkConfig;
use burn_distill_core::{InputShape, any_network};
use burn_distill_data::{Normalization, digits};
use burn_distill_interchange::{ModelDescription, ModelExport, load};
use std::path::Path;
use std::process::{Command, Output};

fn run(model: &Path, image: &Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_deploy"));
    program.arg(model).arg(image).output().unwrap()
}

#[test]
fn an_image_is_classified_by_an_exported_student() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let shape = [1, 8, 8];
    let network = NetworkConfig::by_name("convnet-4").unwrap();
    let network = any_network(network.init(shape, 10, &device).unwrap()).valid();
    let classes = digits().classes().to_vec();
    let normalization = Normalization {
        mean: vec![0.3],
        std: vec![0.4],
    };
    let description = ModelDescription::new(
        &network,
        "convnet-4",
        InputShape::Image(shape),
        classes,
        Some(normalization),
    );
    let model = folder.path().join("model");
    let export = ModelExport::new(description);
    export.write(&network, &model, |_| String::new()).unwrap();
    let pixels: Vec<u8> = digits().pixels(0).iter().map(|pixel| 15 * pixel).collect();
    let image = folder.path().join("digit.png");
    let png = image::GrayImage::from_raw(8, 8, pixels.clone()).unwrap();
    png.save(&image).unwrap();

    let output = run(&model, &image);

    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    let loaded = load(&model, &device).unwrap();
    let best = &loaded.classify(&pixels).unwrap()[0];
    let expected = format!("{:>6.2} %  {}", 100.0 * best.probability, best.class);
    assert_eq!(lines[0], expected);
}

#[test]
fn a_missing_model_is_named() {
    let output = run(Path::new("no-model"), Path::new("no.png"));

    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("no-model: no exported model"), "{stderr}");
}
