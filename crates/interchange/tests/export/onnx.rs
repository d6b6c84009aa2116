//! ONNX files, and what another program computes with them.

use crate::common::*;
use burn_distill_architecture::catalog;
use burn_distill_interchange::{ModelExport, ModelFormat};
use std::fs;

/// Networks that take too long here without optimization, or images of 32 × 32 pixels at least. The
/// example `export_matrix` has them.
const LARGE: [&str; 8] = [
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "cifar-resnet50",
    "vgg16-bn",
    "vgg19",
    "vgg16",
];

fn exported(name: &str, settings: impl FnOnce(ModelExport) -> ModelExport) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let network = network(name, SHAPE, 5);
    let folder = written(&network, name, folder.path(), |export| {
        settings(export.with_format(ModelFormat::Onnx))
    });
    fs::read(folder.join("model.onnx")).unwrap()
}

#[test]
fn a_network_is_written_in_onnx() {
    for name in catalog().iter().map(|entry| entry.example) {
        if !LARGE.contains(&name) {
            let bytes = exported(name, |export| export);
            assert!(bytes.len() > 500, "{name}");
        }
    }
}

#[test]
fn equal_networks_make_equal_files() {
    let network = network("convnet-4", SHAPE, 5);
    let files = [(), ()].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        let model = written(&network, "convnet-4", folder.path(), |export| {
            export.with_format(ModelFormat::Onnx)
        });
        fs::read(model.join("model.onnx")).unwrap()
    });
    assert!(files[0] == files[1]);
}

#[cfg(feature = "onnx")]
mod by_tract {
    use super::*;
    use burn::tensor::Tensor;
    use burn_distill_core::AnyInput;
    use tract_onnx::prelude::*;

    /// Returns the logits that another program computes for images.
    fn run(bytes: &[u8], images: &[f32], shape: [usize; 4]) -> Vec<f32> {
        let model = tract_onnx::onnx().model_for_read(&mut &*bytes).unwrap();
        assert_eq!(
            model.outlet_label(model.output_outlets().unwrap()[0]),
            Some("logits")
        );
        let model = model
            .with_input_fact(0, f32::fact(shape).into())
            .unwrap()
            .into_optimized()
            .unwrap()
            .into_runnable()
            .unwrap();
        let input = tract_ndarray::Array4::from_shape_vec(shape, images.to_vec()).unwrap();
        let output = model.run(tvec!(Tensor_::from(input).into())).unwrap();
        output[0]
            .to_plain_array_view::<f32>()
            .unwrap()
            .iter()
            .copied()
            .collect()
    }

    type Tensor_ = tract_onnx::prelude::Tensor;

    fn values(input: &AnyInput) -> Vec<f32> {
        match input {
            AnyInput::Images(images) => images.to_data().iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{name}");
        let scale = expected
            .iter()
            .fold(1.0_f32, |scale, value| scale.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-4 * scale,
                "{name}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn the_logits_are_those_of_the_network_for_batches_of_any_size() {
        for name in catalog().iter().map(|entry| entry.example) {
            if LARGE.contains(&name) {
                continue;
            }
            let network = network(name, SHAPE, 5);
            let folder = tempfile::tempdir().unwrap();
            let model = written(&network, name, folder.path(), |export| {
                export.with_format(ModelFormat::Onnx)
            });
            let bytes = fs::read(model.join("model.onnx")).unwrap();
            for samples in [1, 4] {
                let input = images(samples, SHAPE);
                let shape = [samples, SHAPE[0], SHAPE[1], SHAPE[2]];
                let found = run(&bytes, &values(&input), shape);
                assert_close(name, &found, &logits(&network, input));
            }
        }
    }

    #[test]
    fn a_file_that_normalizes_takes_pixels() {
        let network = network("convnet-4", SHAPE, 5);
        let folder = tempfile::tempdir().unwrap();
        let model = written(&network, "convnet-4", folder.path(), |export| {
            export
                .with_format(ModelFormat::Onnx)
                .with_normalization(true)
        });
        let bytes = fs::read(model.join("model.onnx")).unwrap();

        let pixels: Vec<f32> = (0..64).map(|pixel| 4.0 * pixel as f32).collect();
        let normalized: Vec<f32> = pixels
            .iter()
            .map(|pixel| (pixel / 255.0 - 0.25) / 0.5)
            .collect();
        let found = run(&bytes, &pixels, [1, 1, 8, 8]);

        let input = burn::tensor::TensorData::new(normalized, [1, 1, 8, 8]);
        let input = Tensor::<4>::from_data(input, &burn::tensor::Device::flex());
        assert_close("convnet-4", &found, &logits(&network, input.into()));
    }
}
