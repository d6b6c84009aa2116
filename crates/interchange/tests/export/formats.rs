use crate::common::*;
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use burn_distill_architecture::NetworkConfig;
use burn_distill_core::{Network, any_network};
use burn_distill_interchange::{
    ModelExport, ModelFormat, Quantization, TensorKeys, load, load_into,
};
use std::fs;

#[test]
fn a_loaded_network_has_the_logits_of_the_exported_one() {
    for name in ["mlp-8", "convnet-4-8", "resnet8", "wrn-10-1", "vit-8-1-2"] {
        let original = network(name, SHAPE, 5);
        let input = images(3, SHAPE);
        let expected = logits(&original, input.clone());
        for (format, keys) in [
            (ModelFormat::Burnpack, TensorKeys::Paths),
            (ModelFormat::SafeTensors, TensorKeys::Paths),
            (ModelFormat::SafeTensors, TensorKeys::Original),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let folder = written(&original, name, folder.path(), |export| {
                export.with_format(format).with_keys(keys)
            });

            let model = load(&folder, &Device::flex()).unwrap();

            assert_eq!(
                logits(&model.network, input.clone()),
                expected,
                "{name} {format}"
            );
            assert_eq!(model.description.classes, classes(5));
        }
    }
}

#[test]
fn a_network_of_a_program_is_filled() {
    let original = network("convnet-4", SHAPE, 3);
    let folder = tempfile::tempdir().unwrap();
    let folder = written(&original, "my-network", folder.path(), |export| export);

    let error = load(&folder, &Device::flex()).err().unwrap().to_string();
    assert!(
        error.contains("`my-network`, which is not a network of this library"),
        "{error}"
    );
    let empty = || {
        let config = NetworkConfig::by_name("convnet-4").unwrap();
        config.init(SHAPE, 3, &Device::flex()).unwrap()
    };
    let (filled, description) = load_into(empty(), &folder).unwrap();
    assert_eq!(description.architecture.name, "my-network");
    let input = images(2, SHAPE);
    assert_eq!(
        logits(&any_network(filled), input.clone()),
        logits(&original, input)
    );
}

#[test]
fn pixels_are_normalized_and_classes_are_ranked_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let original = network("mlp-8", SHAPE, 3);
    let folder = written(&original, "mlp-8", folder.path(), |export| export);
    let model = load(&folder, &Device::flex()).unwrap();

    let pixels: Vec<u8> = (0..64).map(|pixel| 4 * pixel).collect();
    let ranked = model.classify(&pixels).unwrap();

    let values = pixels
        .iter()
        .map(|&pixel| (f32::from(pixel) / 255.0 - 0.25) / 0.5);
    let values = burn::tensor::TensorData::new(values.collect(), [1, 1, 8, 8]);
    let input = burn::tensor::Tensor::<4>::from_data(values, &Device::flex());
    let expected = logits(&original, input.into());
    let sum: f32 = expected.iter().map(|logit| logit.exp()).sum();
    assert_eq!(ranked.len(), 3);
    assert!(ranked.is_sorted_by(|a, b| a.probability >= b.probability));
    for found in &ranked {
        let class: usize = found.class.strip_prefix("class ").unwrap().parse().unwrap();
        assert!((found.probability - expected[class].exp() / sum).abs() < 1e-5);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = written(
        &network("mlp-8", SHAPE, 3),
        "mlp-8",
        folder.path(),
        |export| export,
    );
    let model = load(&folder, &Device::flex()).unwrap();

    for pixels in [&[][..], &[0; 63]] {
        let error = model.classify(pixels).unwrap_err().to_string();
        let expected = format!(
            "an image of 1x8x8 has 64 pixels, but {} were found",
            pixels.len()
        );
        assert!(error.contains(&expected), "{error}");
    }
    let error = model.classify(&[0; 128]).unwrap_err().to_string();
    assert!(
        error.contains("one image was expected, but the pixels are those of 2 images"),
        "{error}"
    );
    let other = model
        .probabilities(images(1, [1, 8, 9]))
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("takes images of 1x8x8, but the input is images of 1x8x9"),
        "{other}"
    );
}

#[test]
fn an_exported_network_is_not_bigger_than_a_plain_save() {
    for name in ["mlp-32", "resnet8"] {
        let original = network(name, SHAPE, 10);
        let folder = tempfile::tempdir().unwrap();
        let exported = written(&original, name, folder.path(), |export| export);
        let plain = folder.path().join("plain.bpk");
        original.clone().into_record().save(&plain).unwrap();

        let size = |path| fs::metadata(path).unwrap().len();
        let (exported, plain) = (size(exported.join("model.bpk")), size(plain));
        assert!(exported <= plain, "{name}: {exported} bytes, plain {plain}");
        ModuleRecord::load(folder.path().join("model/model.bpk")).unwrap();
    }
}

#[test]
fn quantized_weights_are_a_quarter_of_the_size_and_nearly_the_same() {
    for name in ["mlp-64", "convnet-16-32", "vit-64-1-2"] {
        let original = network(name, SHAPE, 5);
        let folder = tempfile::tempdir().unwrap();
        let plain = written(&original, name, &folder.path().join("plain"), |export| {
            export
        });
        let small = written(&original, name, &folder.path().join("small"), |export| {
            export.with_quantization(Some(Quantization::Q8))
        });

        let size = |folder: &std::path::Path| fs::metadata(folder.join("model.bpk")).unwrap().len();
        assert!(
            2 * size(&small) < size(&plain),
            "{name}: {} {}",
            size(&small),
            size(&plain)
        );
        let model = load(&small, &Device::flex()).unwrap();
        let input = images(3, SHAPE);
        let expected = logits(&original, input.clone());
        let found = logits(&model.network, input);
        let scale = expected
            .iter()
            .fold(0.0_f32, |scale, logit| scale.max(logit.abs()));
        assert_ne!(found, expected, "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 0.05 * scale,
                "{name}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn only_safetensors_has_the_original_keys() {
    let original = network("resnet8", SHAPE, 3);
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, format| {
        let export = ModelExport::new(description(name, &original, SHAPE))
            .with_format(format)
            .with_keys(TensorKeys::Original);
        let target = folder.path().join("model");
        let error = export.write(&original, &target, |_| String::new());
        assert!(!target.exists());
        error.unwrap_err().to_string()
    };

    let error = refused("resnet8", ModelFormat::Burnpack);
    assert!(
        error.contains("only a file in the format safetensors can have the keys"),
        "{error}"
    );
    let error = refused("my-network", ModelFormat::SafeTensors);
    assert!(
        error.contains("`my-network` has no original network"),
        "{error}"
    );
    assert!(original.example(1, &Device::flex()).kind().to_string() == "images");
}
