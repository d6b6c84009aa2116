//! Models of vectors and text, and samples in files.

use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::{NetworkConfig, TextOptions, TextSize};
use burn_distill_core::{AnyInput, AnyNetwork, InputShape, any_network};
use burn_distill_data::{
    ArrayReader, ByteWindow, ColumnEncoding, Normalization, TableEncoding, TableReader,
};
use burn_distill_interchange::{
    ArchitectureDescription, Model, ModelDescription, ModelExport, ModelFormat, TensorKeys, load,
};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const WINDOW: ByteWindow = ByteWindow {
    first: 4,
    last: 2,
    strip: true,
};

const TOKENS: InputShape = InputShape::Tokens {
    length: 6,
    vocabulary: ByteWindow::VOCABULARY,
};

fn perceptron(features: usize) -> (AnyNetwork, ModelDescription) {
    let config = NetworkConfig::by_name("mlp-8").unwrap();
    let config = config.of_vectors(features, 3).unwrap();
    let network = any_network(config.init_vector(&Device::flex()));
    let input = InputShape::Vector([features]);
    let description = ModelDescription::new(&network, "mlp-8", input, classes(3), None);
    (network, description)
}

/// A text network with more positions than tokens.
fn transformer(name: &str) -> (AnyNetwork, ModelDescription) {
    let config = TextOptions::new()
        .with_positions(Some(16))
        .classifier(
            TextSize::by_name(name).unwrap(),
            [WINDOW.tokens(), ByteWindow::VOCABULARY],
            3,
        )
        .unwrap();
    let network = any_network(config.init(&Device::flex()));
    let Value::Object(options) = json!({ "positions": 16 }) else {
        unreachable!("it is an object");
    };
    let name = name.to_string();
    let architecture = ArchitectureDescription { name, options };
    let description = ModelDescription::new(&network, architecture, TOKENS, classes(3), None);
    (network, description)
}

fn tokens(rows: &[[i64; 6]]) -> AnyInput {
    let ids = Tensor::<1, burn::tensor::Int>::from_data(rows.as_flattened(), &Device::flex());
    let ids = ids.reshape([rows.len(), 6]);
    let mask = ids.clone().not_equal_elem(i64::from(ByteWindow::PADDING));
    AnyInput::Tokens(burn_distill_core::Tokens { ids, mask })
}

fn export(
    (network, description): &(AnyNetwork, ModelDescription),
    folder: &Path,
    settings: impl FnOnce(ModelExport) -> ModelExport,
) -> PathBuf {
    let folder = folder.join("model");
    settings(ModelExport::new(description.clone()))
        .write(network, &folder, |_| String::new())
        .unwrap();
    folder
}

fn loaded(model: &(AnyNetwork, ModelDescription)) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let path = export(model, folder.path(), |export| export);
    let loaded = load(path, &Device::flex()).unwrap();
    assert_eq!(loaded.description.table, model.1.table);
    assert_eq!(loaded.description.arrays, model.1.arrays);
    assert_eq!(loaded.description.window, model.1.window);
    loaded
}

fn refusal(model: &Model, path: &Path) -> String {
    let refused = model.open(path).err();
    refused.expect("the file is refused").to_string()
}

/// Writes an `.npy` file.
fn npy(path: &Path, element: &str, shape: &str, content: &[u8]) {
    let header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({shape})}}\n");
    let length = (header.len() as u16).to_le_bytes();
    let parts = [
        b"\x93NUMPY\x01\x00",
        &length[..],
        header.as_bytes(),
        content,
    ];
    fs::write(path, parts.concat()).unwrap();
}

#[test]
fn networks_of_vectors_and_text_are_loaded_in_every_format() {
    let vectors: AnyInput = Tensor::<2>::from_data(
        [[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, -3.0, 0.25]],
        &Device::flex(),
    )
    .into();
    let sequences = tokens(&[[1, 2, 3, 256, 256, 9], [200, 0, 7, 8, 255, 4]]);
    for (model, input) in [
        (perceptron(4), vectors),
        (transformer("transformer-8-1-2"), sequences.clone()),
        (transformer("bert-tiny"), sequences),
    ] {
        let name = &model.1.architecture.name;
        let expected = logits(&model.0, input.clone());
        for (format, keys) in [
            (ModelFormat::Burnpack, TensorKeys::Paths),
            (ModelFormat::SafeTensors, TensorKeys::Paths),
            (ModelFormat::SafeTensors, TensorKeys::Original),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = export(&model, folder.path(), |export| {
                export.with_format(format).with_keys(keys)
            });
            let loaded = load(path, &Device::flex()).unwrap();
            let found = logits(&loaded.network, input.clone());
            assert_eq!(found, expected, "{name} in {format}, {keys:?}");
        }
    }
}

#[test]
fn a_network_of_other_inputs_than_its_own_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = export(&perceptron(4), folder.path(), |export| export);
    let file = path.join("model.json");
    let text = fs::read_to_string(&file).unwrap();
    let tokens = json!({ "kind": "tokens", "length": 6, "vocabulary": 9 });
    let vectors = json!({ "kind": "vectors", "shape": [4] });
    let options = json!({ "positions": 3 });
    for (name, input, options, expected) in [
        (
            "mlp-8",
            &tokens,
            json!({}),
            "takes images or vectors, but `input` is sequences of 6",
        ),
        (
            "resnet20",
            &vectors,
            json!({}),
            "takes images, but `input` is vectors of 4 features",
        ),
        (
            "bert-tiny",
            &vectors,
            json!({}),
            "takes tokens, but `input` is vectors of 4 features",
        ),
        (
            "bert-tiny",
            &tokens,
            options,
            "the number of positions of a text network should be",
        ),
        (
            "bert-tiny",
            &tokens,
            json!({ "vocabulary": 8 }),
            "`vocabulary` should be at least 9",
        ),
        (
            "bert-tiny",
            &tokens,
            json!({ "dropout": 1 }),
            "`dropout` should be a probability",
        ),
        (
            "transformer-8-1-3",
            &tokens,
            json!({}),
            "a divisor of the 8 features",
        ),
    ] {
        let mut json: Value = serde_json::from_str(&text).unwrap();
        json["architecture"] = json!({ "name": name, "options": options });
        json["input"] = input.clone();
        fs::write(&file, json.to_string()).unwrap();
        let message = load(&path, &Device::flex()).unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
        assert!(
            message.starts_with(&file.display().to_string()),
            "{message}"
        );
    }
}

#[test]
fn a_description_whose_files_are_of_another_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = export(&perceptron(4), folder.path(), |export| export);
    let file = path.join("model.json");
    let text = fs::read_to_string(&file).unwrap();
    let table = json!({ "encoding": { "columns": [] } });
    let name = "age";
    let constant = json!({
        "kind": "numeric", "name": name, "mean": 0.0, "std": 0.0, "missing_indicator": true
    });
    let twice = json!({ "encoding": { "columns": [constant.clone(), constant] } });
    let endless = json!({ "first": 1, "last": usize::MAX, "strip": false });
    for (key, value, expected) in [
        (
            "table",
            table,
            "`table` should have columns for the input, vectors of 4 features",
        ),
        (
            "window",
            json!(WINDOW),
            "`window` is for sequences of 6 tokens out of 257, but",
        ),
        (
            "table",
            twice,
            "a standard deviation above 0 for the column `age`, but has 0",
        ),
        ("window", endless, "`window`: `last` should be"),
        (
            "window",
            json!({ "first": 1 }),
            "not the description of a model",
        ),
    ] {
        let mut json: Value = serde_json::from_str(&text).unwrap();
        json[key] = value;
        fs::write(&file, json.to_string()).unwrap();
        let message = load(&path, &Device::flex()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn rows_of_a_table_are_encoded_as_for_the_training() {
    let mut model = perceptron(3);
    let columns = vec![
        ColumnEncoding::Numeric {
            name: "age".into(),
            mean: 40.0,
            std: 10.0,
            missing_indicator: false,
        },
        ColumnEncoding::Categorical {
            name: "color".into(),
            categories: vec!["blue".into(), "red".into()],
        },
    ];
    model.1.table = Some(TableReader {
        label: Some("kind".into()),
        ..TableReader::new(TableEncoding { columns })
    });
    let model = loaded(&model);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.csv");
    fs::write(&path, "color,age,kind\nred,60,\nblue,,\nblue,35,?\n").unwrap();

    let samples = model.open(&path).unwrap();
    assert_eq!((samples.len(), samples.are_rows()), (3, true));
    let encoded = [[2.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-0.5, 1.0, 0.0]];
    let encoded = Tensor::<2>::from_data(encoded, &Device::flex());
    assert_eq!(
        model.probabilities(samples.input(0..3)).unwrap(),
        model.probabilities(encoded.clone().into()).unwrap()
    );
    assert_eq!(
        model.probabilities(samples.input(1..2)).unwrap(),
        model.probabilities(encoded.narrow(0, 1, 1).into()).unwrap()
    );

    fs::write(&path, "color\nred\n").unwrap();
    let message = refusal(&model, &path);
    assert!(
        message.contains("new.csv: line 1: expected the column `age`"),
        "{message}"
    );
    let message = refusal(&model, Path::new("new.npy"));
    assert!(
        message.contains("new.npy: the model takes rows of a table"),
        "{message}"
    );
}

#[test]
fn arrays_are_read_for_every_kind_of_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");

    let model = loaded(&perceptron(2));
    let numbers = [1.0_f32, -2.0, 0.5, 4.0].map(f32::to_le_bytes).concat();
    npy(&path, "<f4", "2,2", &numbers);
    let expected = Tensor::<2>::from_data([[1.0, -2.0], [0.5, 4.0]], &Device::flex());
    let samples = model.open(&path).unwrap();
    assert_eq!((samples.len(), samples.are_rows()), (2, true));
    assert_eq!(
        model.probabilities(samples.input(0..2)).unwrap(),
        model.probabilities(expected.into()).unwrap()
    );
    let message = refusal(&model, Path::new("x.csv"));
    assert!(
        message.contains("x.csv: the model takes vectors of 2 features, which are read from files"),
        "{message}"
    );

    let mut text = transformer("transformer-8-1-2");
    text.1.arrays = Some(ArrayReader {
        padding: Some(256),
        ..ArrayReader::default()
    });
    let model = loaded(&text);
    let ids: [u16; 6] = [5, 6, 7, 8, 256, 256];
    npy(&path, "<u2", "1,6", &ids.map(u16::to_le_bytes).concat());
    let samples = model.open(&path).unwrap();
    assert_eq!(
        model.probabilities(samples.input(0..1)).unwrap(),
        model.probabilities(tokens(&[ids.map(i64::from)])).unwrap()
    );

    let name = "convnet-4-8";
    let network = network(name, SHAPE, 3);
    let mut images = (network.clone(), description(name, &network, SHAPE));
    images.1.normalization = Some(Normalization {
        mean: vec![0.5],
        std: vec![0.25],
    });
    let model = loaded(&images);
    let pixels: Vec<u8> = (0..128).collect();
    npy(&path, "|u1", "2,1,8,8", &pixels);
    let samples = model.open(&path).unwrap();
    assert_eq!(samples.len(), 2);
    assert_eq!(
        model.probabilities(samples.input(0..2)).unwrap(),
        model.probabilities(model.images(&pixels).unwrap()).unwrap()
    );
}

#[test]
fn the_bytes_of_any_file_are_read_by_the_window() {
    let mut model = transformer("transformer-8-1-2");
    model.1.window = Some(WINDOW);
    let model = loaded(&model);
    let folder = tempfile::tempdir().unwrap();
    for (name, contents, expected) in [
        ("a.c", &b"  int a;\n"[..], [105, 110, 116, 32, 97, 59]),
        // Also what is an array or a table for others.
        ("a.npy", b"ab", [97, 98, 256, 256, 97, 98]),
        ("a.csv", b"x", [120, 256, 256, 256, 256, 120]),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        let samples = model.open(&path).unwrap();
        assert_eq!((samples.len(), samples.are_rows()), (1, false));
        assert_eq!(
            model.probabilities(samples.input(0..1)).unwrap(),
            model.probabilities(tokens(&[expected])).unwrap(),
            "{name}"
        );
    }
    // Whitespace alone is a token of padding, which the network still attends to.
    let path = folder.path().join("blank");
    fs::write(&path, "\n").unwrap();
    let probabilities = model.probabilities(model.open(&path).unwrap().input(0..1));
    assert_eq!(probabilities.unwrap()[0].len(), 3);
    fs::write(&path, "").unwrap();
    assert!(refusal(&model, &path).ends_with("blank: the file is empty"));
    assert!(refusal(&model, &folder.path().join("no")).contains("no: "));
}
