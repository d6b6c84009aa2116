//! Checkpoints as the weights of networks.

use super::{open, path};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_architecture::{CheckpointTensor, NetworkConfig};
use burn_distill_core::{DynNetwork, Network, WeightsFile, tensors};
use burn_distill_interchange::{Checkpoint, KeyMap, Mapping, pytorch_layout};
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const INPUT: [usize; 3] = [1, 4, 4];

type Net = DynNetwork<Tensor<4>>;

fn network(name: &str, classes: usize) -> (Net, Vec<CheckpointTensor>) {
    let config = NetworkConfig::by_name(name).unwrap();
    let network = config.init(INPUT, classes, &Device::default()).unwrap();
    (network, config.checkpoint(INPUT, classes).unwrap())
}

fn mapping(checkpoint: &Checkpoint, network: &str, classes: usize) -> Mapping {
    let (_, layout) = self::network(network, classes);
    Mapping::new(checkpoint, &[layout], &KeyMap::default())
}

/// Input and logits of the network, computed by PyTorch.
#[derive(Deserialize)]
struct Expected {
    input: Vec<f32>,
    logits: Vec<f32>,
}

fn check_logits(network: &Net, name: &str) {
    let text = fs::read_to_string(path("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let input = TensorData::new(expected.input, [2, 1, 4, 4]);
    let logits = network
        .valid()
        .forward(Tensor::from_data(input, &Device::default()));
    let expected = TensorData::new(expected.logits, [2, 3]);
    let logits = logits.classes().expect(name).to_data();
    logits.assert_approx_eq::<f32>(&expected, Tolerance::relative(1e-5));
}

#[test]
fn networks_of_every_file_compute_the_logits_of_pytorch() {
    for (name, part) in [
        ("plain.pth", ""),
        ("legacy.pth", ""),
        ("plain.safetensors", ""),
        ("protocol4.pth", ""),
        ("whole.pth", ""),
        ("nested.pth", "state_dict.module"),
        ("nested_legacy.pth", "state_dict.module"),
    ] {
        let checkpoint = open(name);
        let (network, layout) = self::network("convnet-2-3", 3);
        let mapping = Mapping::new(&checkpoint, &[layout], &KeyMap::default());
        assert!(mapping.is_complete(), "{name}: {mapping}");
        assert_eq!(mapping.part, part, "{name}");
        assert_eq!(mapping.assigned.len(), 12, "{name}");

        let record = mapping.read(&checkpoint).unwrap().into_record().unwrap();
        check_logits(&network.load_record(record), name);
    }
}

#[test]
fn the_modules_of_a_network_give_the_same_names() {
    let checkpoint = open("plain.pth");
    let (network, _) = self::network("convnet-2-3", 3);

    let mapping = Mapping::new(&checkpoint, &[pytorch_layout(&network)], &KeyMap::default());

    let record = mapping.read(&checkpoint).unwrap().into_record().unwrap();
    check_logits(&network.load_record(record), "by modules");
}

#[test]
fn what_is_beside_the_network_is_counted() {
    let mapping = mapping(&open("nested.pth"), "convnet-2-3", 3);

    assert_eq!(
        mapping.outside,
        BTreeMap::from([("optimizer".to_string(), 8)])
    );
    assert_eq!(
        mapping.to_string(),
        "12 of 12 tensors fit, under `state_dict.module`\n  \
         left out, beside the network: `optimizer` (8)"
    );
}

#[test]
fn a_head_for_other_classes_is_told_from_other_differences() {
    let checkpoint = open("plain.pth");

    let heads = mapping(&checkpoint, "convnet-2-3", 10);
    assert_eq!(heads.other_classes(10), Some(3));
    assert_eq!(
        heads.to_string(),
        "10 of 12 tensors fit\n  2 of another shape: `fc.weight` [3, 3] instead of [10, 3], \
         `fc.bias` [3] instead of [10]"
    );
    // The weights of burn end with the classes.
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.bpk");
    let (network, _) = network("convnet-2-3", 3);
    let weights = WeightsFile::new(network.into_record()).unwrap();
    weights.write(&own).unwrap();
    let own = Checkpoint::open(&own).unwrap();
    let heads = mapping(&own, "convnet-2-3", 10);
    assert_eq!(heads.other_classes(10), Some(3));
    // As another number of inputs differs in the first layer of a network of vectors.
    assert_eq!(heads.other_classes(5), None);
    let wider = mapping(&checkpoint, "convnet-2-4", 3);
    assert_eq!(wider.other_classes(3), None);
    assert!(wider.to_string().contains("and 2 more"), "{wider}");
    assert_eq!(mapping(&checkpoint, "convnet-2", 3).other_classes(3), None);
}

#[test]
fn differences_are_listed_by_their_kind() {
    let checkpoint = open("plain.pth");

    let longer = mapping(&checkpoint, "convnet-2-3-3", 3);
    let missing: Vec<_> = longer
        .missing
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(missing[0], "layer.2.conv.weight");
    assert_eq!((longer.missing.len(), longer.unexpected.len()), (5, 0));
    let shorter = mapping(&checkpoint, "convnet-2", 3);
    assert_eq!((shorter.missing.len(), shorter.unexpected.len()), (0, 5));
    assert_eq!(shorter.shape_mismatches[0].name, "fc.weight");
    assert!(!longer.is_complete() && !shorter.is_complete());
    // Nothing in common but the classifier.
    let other = mapping(&checkpoint, "resnet8", 3);
    assert!(other.to_string().contains(" missing: `"), "{other}");
}

#[test]
fn names_are_changed_by_patterns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("renamed.safetensors");
    let original = open("plain.safetensors");
    let renamed = original.tensors().iter().map(|tensor| {
        let name = tensor
            .name
            .replace("layer.", "net.block")
            .replace(".bn.", ".norm.");
        (name, tensor.read().unwrap())
    });
    write(&path, renamed.collect());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let (network, layout) = self::network("convnet-2-3", 3);
    let layouts = [layout];

    let keys = [("^net\\.block(\\d)", "layer.$1"), ("norm", "bn")];
    let mapping = Mapping::new(&checkpoint, &layouts, &KeyMap::new(keys).unwrap());

    assert!(mapping.is_complete(), "{mapping}");
    let record = mapping.read(&checkpoint).unwrap().into_record().unwrap();
    check_logits(&network.load_record(record), "renamed");
    assert!(!Mapping::new(&checkpoint, &layouts, &KeyMap::default()).is_complete());
    // Both stages get one name: the second is listed.
    let both = KeyMap::new([("^net\\.block\\d", "layer.0"), ("norm", "bn")]).unwrap();
    let mapping = Mapping::new(&checkpoint, &layouts, &both);
    assert_eq!(mapping.unexpected.len(), 5, "{mapping}");
}

/// Writes a file of SafeTensors of single precision.
fn write(path: &Path, tensors: Vec<(String, TensorData)>) {
    let views = tensors.iter().map(|(name, data)| {
        let shape = data.shape().as_slice().to_vec();
        let view = TensorView::new(Dtype::F32, shape, data.as_bytes()).unwrap();
        (name.clone(), view)
    });
    let bytes = safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn published_networks_take_the_keys_of_their_originals() {
    for name in ["resnet8", "wrn-10-1", "shufflev2", "mobile-half"] {
        let config = NetworkConfig::by_name(name).unwrap();
        let input = [3, 32, 32];
        let device = Device::default();
        let init = |seed| {
            device.seed(seed);
            config.init(input, 5, &device).unwrap()
        };
        let (source, target) = (init(1), init(2));
        let by_path: BTreeMap<_, _> = tensors(&source).into_iter().collect();
        let layout = config.checkpoint(input, 5).unwrap();
        let original = layout.iter().map(|tensor| {
            let data = by_path[&tensor.path].clone();
            let data = match tensor.transposed {
                true => Tensor::<2>::from_data(data, &device)
                    .transpose()
                    .into_data(),
                false => data,
            };
            assert_eq!(data.shape().as_slice(), tensor.shape, "{}", tensor.original);
            (format!("model.{}", tensor.original), data)
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("original.safetensors");
        write(&path, original.collect());

        let checkpoint = Checkpoint::open(&path).unwrap();
        let mapping = Mapping::new(&checkpoint, &[layout], &KeyMap::default());
        assert!(mapping.is_complete(), "{name}: {mapping}");
        let record = mapping.read(&checkpoint).unwrap().into_record().unwrap();

        assert_ne!(tensors(&target), tensors(&source), "{name}");
        assert_eq!(
            tensors(&target.load_record(record)),
            tensors(&source),
            "{name}"
        );
    }
}

#[test]
fn a_file_of_burn_is_read_by_the_paths_in_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let (source, layout) = self::network("convnet-2-3", 3);
    WeightsFile::new(source.clone().into_record())
        .unwrap()
        .write(&path)
        .unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let (target, _) = self::network("convnet-2-3", 3);

    let mapping = Mapping::new(&checkpoint, &[layout], &KeyMap::default());

    let record = mapping.read(&checkpoint).unwrap().into_record().unwrap();
    assert_eq!(tensors(&target.load_record(record)), tensors(&source));
}

#[test]
fn square_matrices_are_read_as_the_format_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let (source, layout) = self::network("mlp-16-16", 16);
    let path = |name: &str| folder.path().join(name);
    WeightsFile::new(source.clone().into_record())
        .unwrap()
        .write(path("burn.bpk"))
        .unwrap();
    let transposed = tensors(&source).into_iter().map(|(name, data)| {
        let data = match data.rank() {
            2 => {
                let device = Device::default();
                Tensor::<2>::from_data(data, &device)
                    .transpose()
                    .into_data()
            }
            _ => data,
        };
        (name, data)
    });
    write(&path("pytorch.safetensors"), transposed.collect());

    for name in ["burn.bpk", "pytorch.safetensors"] {
        let checkpoint = Checkpoint::open(path(name)).unwrap();
        let mapping = Mapping::new(
            &checkpoint,
            std::slice::from_ref(&layout),
            &KeyMap::default(),
        );
        let record = mapping.read(&checkpoint).unwrap().into_record().unwrap();
        let (target, _) = self::network("mlp-16-16", 16);
        assert_eq!(
            tensors(&target.load_record(record)),
            tensors(&source),
            "{name}"
        );
    }
}
