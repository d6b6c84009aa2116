//! Names, types and values.

use super::{open, path};
use burn::tensor::TensorData;
use burn_distill_interchange::{Checkpoint, CheckpointFormat};

/// Value number n of a tensor, as the fixtures have it.
fn values(size: usize) -> Vec<f32> {
    let middle = (size / 2) as f32;
    (0..size).map(|n| (n as f32 - middle) / 8.0).collect()
}

fn read(checkpoint: &Checkpoint, name: &str) -> TensorData {
    checkpoint.get(name).expect(name).read().unwrap()
}

fn floats(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let data = read(checkpoint, name).convert::<f32>();
    data.try_to_vec().unwrap()
}

#[test]
fn every_format_is_recognized_and_has_the_tensors_of_the_network() {
    let names = |checkpoint: &Checkpoint| -> Vec<_> {
        let tensors = checkpoint.tensors().iter();
        let mut names: Vec<_> = tensors
            .map(|it| (it.name.clone(), it.shape.clone()))
            .collect();
        names.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
        names.sort();
        names
    };
    let expected = names(&open("plain.safetensors"));
    assert_eq!(expected.len(), 12);
    for (name, format) in [
        ("plain.pth", CheckpointFormat::PyTorch),
        ("protocol4.pth", CheckpointFormat::PyTorch),
        ("whole.pth", CheckpointFormat::PyTorch),
        ("legacy.pth", CheckpointFormat::PyTorchLegacy),
        ("plain.safetensors", CheckpointFormat::SafeTensors),
    ] {
        let checkpoint = open(name);
        assert_eq!(checkpoint.format(), format, "{name}");
        assert_eq!(names(&checkpoint), expected, "{name}");
        assert_eq!(floats(&checkpoint, "fc.weight"), values(9), "{name}");
        assert_eq!(checkpoint.path(), path(name));
    }
}

#[test]
fn a_nested_checkpoint_has_all_tensors_and_the_numbers_beside_them() {
    for name in ["nested.pth", "nested_legacy.pth"] {
        let checkpoint = open(name);
        let weight = "state_dict.module.fc.weight";
        assert_eq!(floats(&checkpoint, weight), values(9), "{name}");
        let optimizer = checkpoint
            .tensors()
            .iter()
            .filter(|it| it.name.starts_with("optimizer."));
        assert_eq!(optimizer.count(), 8, "{name}");
        let metadata = checkpoint.metadata();
        let text = |key: &str| metadata.get(key).map(String::as_str);
        assert_eq!(text("epoch"), Some("12"), "{name}");
        assert_eq!(text("arch"), Some("convnet"), "{name}");
        assert_eq!(text("best"), Some("0.5"), "{name}");
        assert_eq!(metadata.len(), 3, "{name}");
    }
    let metadata = open("plain.safetensors").metadata().clone();
    assert_eq!(metadata["about"], "a network");
}

#[test]
fn all_types_are_read() {
    for name in ["types.pth", "types.safetensors"] {
        let checkpoint = open(name);
        for dtype in ["float16", "bfloat16", "float64"] {
            assert_eq!(checkpoint.get(dtype).unwrap().dtype, dtype);
            assert_eq!(floats(&checkpoint, dtype), values(6), "{name} {dtype}");
        }
        for dtype in ["int32", "int64"] {
            assert_eq!(checkpoint.get(dtype).unwrap().dtype, dtype);
            // torch rounds towards zero.
            assert_eq!(floats(&checkpoint, dtype), [0.0; 6], "{name} {dtype}");
        }
        assert_eq!(floats(&checkpoint, "uint8"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let flags = read(&checkpoint, "bool").try_to_vec::<bool>().unwrap();
        assert_eq!(flags, [true, false, true], "{name}");
        assert_eq!(floats(&checkpoint, "scalar"), [2.5], "{name}");
        assert_eq!(checkpoint.get("scalar").unwrap().shape, [0; 0]);
        assert_eq!(checkpoint.get("empty").unwrap().shape, [0, 3]);
        assert!(floats(&checkpoint, "empty").is_empty(), "{name}");
    }
}

#[test]
fn views_of_one_storage_have_their_own_values() {
    let checkpoint = open("views.pth");
    let base = values(12);
    let at = |places: &[usize]| -> Vec<_> { places.iter().map(|&place| base[place]).collect() };
    for (name, places) in [
        ("base", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11][..]),
        ("same", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ("transposed", &[0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]),
        ("rows", &[3, 4, 5, 6, 7, 8]),
        ("column", &[1, 4, 7, 10]),
        ("steps", &[0, 2, 6, 8]),
        ("channels_last", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ] {
        assert_eq!(floats(&checkpoint, name), at(places), "{name}");
    }
    assert_eq!(checkpoint.get("transposed").unwrap().shape, [3, 4]);
    assert_eq!(floats(&checkpoint, "repeated"), [0.5; 6]);
}

#[test]
fn a_view_that_is_larger_than_the_file_is_refused() {
    let error = Checkpoint::open(path("repeated.pth"))
        .err()
        .unwrap()
        .to_string();

    let expected = "its tensor `weight` of shape [1000, 1000] takes 4000000 bytes, more than the whole \
                    file of 1584: call `.contiguous()` before it is saved";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn names_are_in_the_order_of_their_numbers() {
    let checkpoint = open("nested.pth");
    let names = checkpoint.tensors().iter().map(|it| it.name.as_str());
    let stages = names.filter(|name| name.ends_with("conv.weight"));
    assert_eq!(
        stages.collect::<Vec<_>>(),
        [
            "state_dict.module.layer.0.conv.weight",
            "state_dict.module.layer.1.conv.weight"
        ]
    );
}
