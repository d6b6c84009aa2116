//! A teacher in an ONNX file teaches as the same network in a file of weights does.

#![cfg(feature = "onnx")]

mod common;
mod onnx_file;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill::core::{Network, tensors};
use burn_distill::strategy::WeightsFile;
use burn_distill::strategy::{ByEpoch, Quiet};
use burn_distill_experiment::{Data, Experiment, RunFolder, Statistics, Stop, check};
use burn_distill_recipe::{InputShape, Notices, Registry, Task, parse};
use onnx_file::{Node, model};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const MODEL: &str = "mlp-16";

/// A recipe whose teacher is in a table.
fn recipe(teacher: &str, loss: &str) -> String {
    format!(
        "name = 'digits'\nseeds = [3]\ndata = {{ name = 'digits', samples = 300 }}\n\
         teacher = {{ {teacher} }}\n\
         student = {{ model = 'mlp-8', training = {{ epochs = 3, batch_size = 64 }} }}\n\
         loss = [{{ kind = 'cross-entropy' }}, {{ kind = 'kd', temperature = 2 }}{loss}]"
    )
}

/// Writes the perceptron in a file of weights as an ONNX file.
fn export(weights: &Path, path: &Path) {
    let input = InputShape::Image([1, 8, 8]);
    let task = Task { input, classes: 10 };
    let registry = Registry::standard();
    let network = registry
        .build(&MODEL.into(), &task, 0_u64, &Device::flex())
        .unwrap();
    let record = WeightsFile::read(weights).unwrap().into_record().unwrap();
    let network = network.load_record(record);
    let tensors: BTreeMap<String, TensorData> = tensors(&network).into_iter().collect();
    let tensor = |name: &str| {
        let data = &tensors[name];
        (
            name.to_string(),
            data.shape().to_vec(),
            data.iter::<f32>().collect(),
        )
    };
    let nodes = [
        Node::new("Flatten", &["image"], "flat"),
        Node::new(
            "Gemm",
            &["flat", "hidden.0.weight", "hidden.0.bias"],
            "first",
        ),
        Node::new("Relu", &["first"], "hidden"),
        Node::new(
            "Gemm",
            &["hidden", "output.weight", "output.bias"],
            "logits",
        ),
    ];
    let names = [
        "hidden.0.weight",
        "hidden.0.bias",
        "output.weight",
        "output.bias",
    ];
    let bytes = model(
        &nodes,
        &names.map(tensor),
        ("image", &[1, 8, 8]),
        ("logits", &[10]),
    );
    fs::write(path, bytes).unwrap();
}

/// Returns the metrics of a training, by epoch, split and name.
fn metrics(run: &Path) -> BTreeMap<String, f64> {
    let text = fs::read_to_string(run.join("seed-3/distilled/history.csv")).unwrap();
    let lines = text.lines().skip(1).map(|line| {
        let (key, value) = line.rsplit_once(',').unwrap();
        (key.to_string(), value.parse().unwrap())
    });
    lines.collect()
}

#[test]
fn an_onnx_file_teaches_as_the_same_network_does() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, teacher: &str, loss: &str| {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let result = common::run(&folder, &recipe(teacher, loss), &Registry::standard());
        (folder.join("run"), result.unwrap())
    };
    let hint = ", { kind = 'hint', student = 'hidden.1', teacher = 'hidden.1' }";
    let training = format!("model = '{MODEL}', training = {{ epochs = 2 }}");
    let (first, trained) = run("trained", &training, hint);
    let weights = first.join("seed-3/teacher/model.bpk");
    let file = folder.path().join("teacher.onnx");
    export(&weights, &file);

    let onnx = format!(
        "onnx = {{ file = '{}', data_normalization = true, taps = {{ 'hidden.1' = 'hidden' }} }}",
        file.display()
    );
    let (second, of_file) = run("onnx", &onnx, hint);

    let (expected, found) = (metrics(&first), metrics(&second));
    assert!(expected.len() > 10, "{expected:?}");
    assert!(expected.keys().eq(found.keys()), "{expected:?} {found:?}");
    for (key, expected) in expected {
        let found = found[&key];
        let close = (found - expected).abs() <= 1e-4 * expected.abs().max(1e-3);
        assert!(close, "{key}: {found}, not {expected}");
    }
    let (trained, of_file) = (trained.teacher.unwrap(), of_file.teacher.unwrap());
    assert_eq!(of_file.accuracy, trained.accuracy);
    assert_eq!(of_file.parameters, trained.parameters);
    assert_eq!(of_file.bytes, fs::metadata(&file).unwrap().len());
    assert_eq!(of_file.seconds, [0.0]);

    // The pixels are from 0 to 1 without the normalization of the data: another teacher.
    let plain = format!("onnx = '{}'", file.display());
    let (_, plain) = run("plain", &plain, "");
    let mean = |accuracy: Option<Statistics>| accuracy.unwrap().mean;
    assert!(mean(plain.teacher.unwrap().accuracy) < mean(trained.accuracy));
}

#[test]
fn a_run_is_resumed_with_the_same_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let network = |scale: f32| {
        let weights: Vec<f32> = (0..640)
            .map(|place| scale * (place as f32 * 0.7).sin())
            .collect();
        let nodes = [
            Node::new("Flatten", &["image"], "flat"),
            Node::new("MatMul", &["flat", "w"], "logits"),
        ];
        let weights = [("w".to_string(), vec![64, 10], weights)];
        model(&nodes, &weights, ("image", &[1, 8, 8]), ("logits", &[10]))
    };
    let file = folder.path().join("teacher.onnx");
    fs::write(&file, network(1.0)).unwrap();
    let text = recipe("onnx = 'teacher.onnx'", "");
    common::run(folder.path(), &text, &Registry::standard()).unwrap();

    let resumed = || {
        let recipe = parse(
            &folder.path().join("recipe.toml"),
            &[],
            &Registry::standard(),
        )
        .unwrap();
        let data = Data::load(&recipe.data, &recipe.registry).unwrap();
        let checked = check(&recipe, &data, &Notices::default())?;
        let experiment = Experiment {
            recipe: &recipe,
            data: &data,
            device: &Device::flex(),
            device_name: "flex",
            folder: &RunFolder::open(&recipe, Some(&folder.path().join("run")), true)?,
            stop: &Stop::default(),
            notices: Notices::default(),
            checked,
        };
        experiment.run(ByEpoch::renderer(Quiet)).map(drop)
    };
    resumed().unwrap();
    fs::write(&file, network(0.5)).unwrap();
    let error = format!("{:#}", resumed().unwrap_err());
    assert!(error.contains("teacher"), "{error}");
}

#[test]
fn a_file_that_does_not_fit_the_data_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let weights = [("w".to_string(), vec![64, 3], vec![0.1; 192])];
    let nodes = [
        Node::new("Flatten", &["image"], "flat"),
        Node::new("MatMul", &["flat", "w"], "logits"),
    ];
    let network = model(&nodes, &weights, ("image", &[1, 8, 8]), ("logits", &[3]));
    fs::write(folder.path().join("three.onnx"), network).unwrap();
    let error = |teacher: &str| {
        let result = common::run(folder.path(), &recipe(teacher, ""), &Registry::standard());
        let error = format!("{:#}", result.err().unwrap());
        assert!(!folder.path().join("run/seed-3").exists());
        error
    };

    let found = error("onnx = 'three.onnx'");
    assert!(found.contains("teacher.onnx"), "{found}");
    assert!(
        found.contains("three.onnx: the network has 3 logits, but the data has 10 classes"),
        "{found}"
    );
    let found = error("onnx = 'missing.onnx'");
    assert!(found.contains("missing.onnx: "), "{found}");
    let found = error("onnx = { file = 'three.onnx', resize = [4, 4] }");
    assert!(
        found.contains("a sample of the data has the shape [1, 4, 4]"),
        "{found}"
    );
    let found = error("onnx = { file = 'three.onnx', outptu = 'logits' }");
    assert!(
        found.contains("unknown key `teacher.onnx.outptu`, did you mean `output`?"),
        "{found}"
    );
}

/// The network of the file is that of the weights, so that the first test compares what it says.
#[test]
fn the_written_file_is_a_network_of_onnx() {
    let nodes = [Node::new("Relu", &["x"], "y")];
    let bytes = model(&nodes, &[], ("x", &[2]), ("y", &[2]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relu.onnx");
    fs::write(&path, bytes).unwrap();
    let data = burn_distill::interchange::OnnxData {
        sample: vec![2],
        ..Default::default()
    };
    let network =
        burn_distill::interchange::OnnxNetwork::<Tensor<2>>::load(path, &Default::default(), &data);
    let input = Tensor::<2>::from_data([[-1.0, 2.0]], &Device::flex());
    let output = network.unwrap().forward(input).classes().unwrap().clone();
    output
        .into_data()
        .assert_eq(&[[0.0_f32, 2.0]].into(), false);
}
