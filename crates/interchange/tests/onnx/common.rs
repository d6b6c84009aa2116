use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::{Knowledge, Network, Tap, TapSelection, Tokens};
use burn_distill_interchange::{OnnxConfig, OnnxData, OnnxError, OnnxInput, OnnxNetwork};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Inputs and outputs of a model by onnxruntime, written by `docs/reference/onnx_models.py`.
#[derive(Deserialize)]
pub struct Case {
    pub inputs: BTreeMap<String, Array>,
    pub outputs: BTreeMap<String, Array>,
}

#[derive(Clone, Deserialize)]
pub struct Array {
    pub shape: Vec<usize>,
    #[serde(deserialize_with = "numbers")]
    pub values: Vec<f64>,
}

/// Reads numbers, among which true and false are 1 and 0.
fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<serde_json::Value>::deserialize(deserializer)?;
    let number = |value: &serde_json::Value| match value.as_bool() {
        Some(flag) => f64::from(u8::from(flag)),
        None => value.as_f64().unwrap(),
    };
    Ok(values.iter().map(number).collect())
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

pub fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.onnx"))
}

pub fn case(name: &str) -> Case {
    let text = fs::read_to_string(folder().join("expected.json")).unwrap();
    let mut cases: BTreeMap<String, Case> = serde_json::from_str(&text).unwrap();
    cases.remove(name).unwrap()
}

impl Case {
    pub fn input<const D: usize>(&self) -> Tensor<D> {
        self.inputs.values().next().unwrap().tensor()
    }

    pub fn tokens(&self) -> Tokens {
        let ids = &self
            .inputs
            .get("input_ids")
            .or(self.inputs.get("ids"))
            .unwrap();
        let mask = match self.inputs.get("attention_mask") {
            Some(mask) => mask.tensor::<2>().greater_elem(0.5),
            None => ids.tensor::<2>().greater_equal_elem(0.0),
        };
        Tokens {
            ids: ids.tensor::<2>().int(),
            mask,
        }
    }
}

impl Array {
    pub fn tensor<const D: usize>(&self) -> Tensor<D> {
        let values: Vec<f32> = self.values.iter().map(|value| *value as f32).collect();
        let data = TensorData::new(values, self.shape.clone());
        Tensor::from_data(data, &Device::default())
    }
}

/// Returns the configuration of a text in JSON.
pub fn config(json: &str) -> OnnxConfig {
    serde_json::from_str(json).unwrap()
}

/// Returns data of samples of this shape, without names of classes.
pub fn data(sample: &[usize]) -> OnnxData {
    OnnxData {
        sample: sample.to_vec(),
        ..OnnxData::default()
    }
}

/// Loads a model for the samples of its case.
pub fn network<I: OnnxInput>(name: &str, json: &str, sample: &[usize]) -> OnnxNetwork<I> {
    OnnxNetwork::load(file(name), &config(json), &data(sample)).unwrap()
}

/// Returns the error of a model, without the folder of its file.
pub fn refusal(error: OnnxError) -> String {
    let folder = format!("{}/", folder().display());
    error.to_string().replace(&folder, "")
}

pub fn knowledge<I: OnnxInput>(network: &OnnxNetwork<I>, input: I) -> Knowledge {
    network.forward_knowledge(input, &TapSelection::All)
}

pub fn logits<I: OnnxInput>(network: &OnnxNetwork<I>, input: I) -> Tensor<2> {
    let response = network.forward(input);
    response.classes().unwrap().clone()
}

/// Asserts that numbers agree to this fraction of the largest of them.
pub fn close<const D: usize>(found: Tensor<D>, expected: &Array, relative: f64) {
    assert_eq!(found.dims(), expected.shape[..], "the shapes differ");
    let largest = expected
        .values
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    let found: Vec<f32> = found.into_data().iter().collect();
    for (found, expected) in found.iter().zip(&expected.values) {
        let difference = (f64::from(*found) - expected).abs();
        assert!(difference <= relative * largest, "{found}, not {expected}");
    }
}

/// Asserts that a tap agrees to 1e-5 of its largest number.
pub fn tap_close(tap: Tap, expected: &Array) {
    match tap {
        Tap::Vector(found) => close(found, expected, 1e-5),
        Tap::Sequence(found) => close(found, expected, 1e-5),
        Tap::Map(found) => close(found, expected, 1e-5),
        other => panic!("a tap of kind {}", other.kind()),
    }
}
