//! Comparison of the text networks with those of transformers, and their properties.
//!
//! `tests/text.json` contains the results of `docs/reference/text_networks.py` with transformers in
//! double precision: the parameters of the published sizes; and for a small network of each family
//! its tensors, filled by [`values`], the taps and the logits of three sequences, one of which is
//! padding alone, and the gradient of a tensor.

use super::*;
use crate::published::tests::values;
use crate::{CheckpointTensor, NetworkError};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, Device, Distribution, FloatDType, Int, Tensor, TensorData, Tolerance};
use burn_distill_core::{
    Network, Response, TapSelection, Tokens, initialize, known_taps, parameter_count, tensors,
};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Bound of every error, relative to the root mean square of the compared values.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Fixture {
    sizes: BTreeMap<String, usize>,
    networks: BTreeMap<String, Reference>,
}

#[derive(Deserialize)]
struct Reference {
    family: String,
    features: usize,
    depth: usize,
    heads: usize,
    intermediate: usize,
    vocabulary: usize,
    positions: usize,
    classes: usize,
    parameters: usize,
    multiply_adds: usize,
    state: Vec<String>,
    ids: Vec<Vec<i64>>,
    lengths: Vec<usize>,
    taps: BTreeMap<String, Vec<f64>>,
    logits: Vec<f64>,
    gradient_of: String,
    gradient: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../tests/text.json")).unwrap()
}

impl Reference {
    fn config(&self) -> TextClassifierConfig {
        let family = match self.family.as_str() {
            "bert" => TextFamily::Bert,
            _ => TextFamily::DistilBert,
        };
        let size = TextSize {
            family,
            features: self.features,
            depth: self.depth,
            heads: self.heads,
            intermediate: self.intermediate,
        };
        let encoder = TextEncoderConfig::new(size, self.vocabulary, self.ids[0].len())
            .with_positions(Some(self.positions));
        TextClassifierConfig::new(encoder, self.classes)
    }

    fn input(&self, device: &Device) -> Tokens {
        let (samples, length) = (self.ids.len(), self.ids[0].len());
        let ids = TensorData::new(self.ids.concat(), [samples, length]);
        let counts = |&count: &usize| (0..length).map(move |place| place < count);
        let mask: Vec<bool> = self.lengths.iter().flat_map(counts).collect();
        Tokens {
            ids: Tensor::from_data(ids, device),
            mask: Tensor::from_data(TensorData::new(mask, [samples, length]), device),
        }
    }
}

/// Fills the tensors of a network by their names in transformers.
struct Filler {
    path: Vec<String>,
    originals: HashMap<String, CheckpointTensor>,
}

impl Filler {
    fn fill<M: Module>(network: M, checkpoint: Vec<CheckpointTensor>) -> M {
        let of_path = |tensor: CheckpointTensor| (tensor.path.clone(), tensor);
        let mut filler = Self {
            path: Vec::new(),
            originals: checkpoint.into_iter().map(of_path).collect(),
        };
        let filled = network.map(&mut filler);
        assert!(filler.originals.is_empty(), "{:?}", filler.originals.keys());
        filled
    }
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let tensor = self.originals.remove(&path).expect(&path);
        let numbers = values(&tensor.original, &tensor.shape);
        let data = TensorData::new(numbers, tensor.shape);
        let filled = Tensor::<D>::from_data(data, &Device::default());
        let filled = match tensor.transposed {
            true => filled.transpose(),
            false => filled,
        };
        assert_eq!(param.lazy_shape(), filled.shape(), "{path}");
        Param::from_data(filled.into_data(), &param.lazy_device())
    }
}

/// Checks the largest difference relative to the root mean square of the expected values.
fn assert_close(found: &TensorData, expected: &[f64], what: &str) {
    let found: Vec<_> = found.iter::<f64>().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    let squares: f64 = expected.iter().map(|value| value * value).sum();
    let bound = TOLERANCE * (squares / expected.len() as f64).sqrt();
    for (found, expected) in found.iter().zip(expected) {
        // Not `>`, which is false for NaN.
        let close = (found - expected).abs() <= bound;
        assert!(close, "{what}: {found} instead of {expected}");
    }
}

#[test]
fn networks_are_those_of_transformers() {
    let networks = fixture().networks;
    assert_eq!(networks.len(), 3);
    for (name, reference) in networks {
        let config = reference.config();
        let device = Device::default();
        let plan = config.plan().unwrap();
        assert_eq!(plan.parameters(), reference.parameters, "{name}");
        assert_eq!(plan.multiply_adds(), reference.multiply_adds, "{name}");
        let checkpoint = config.checkpoint().unwrap();
        let listed: Vec<_> = checkpoint
            .iter()
            .map(|tensor| {
                let shape: Vec<_> = tensor.shape.iter().map(usize::to_string).collect();
                format!("{} {}", tensor.original, shape.join(","))
            })
            .collect();
        assert_eq!(listed, reference.state, "{name}");

        let network = Filler::fill(config.init(&device), checkpoint);
        let knowledge = network.forward_knowledge(reference.input(&device), &TapSelection::All);

        for (tap, expected) in &reference.taps {
            let found = match tap.starts_with("attention") {
                true => knowledge.taps.expect(tap).into_attention().into_data(),
                false => knowledge.taps.expect(tap).into_sequence().into_data(),
            };
            assert_close(&found, expected, &format!("{name} {tap}"));
        }
        let logits = knowledge.response.classes().unwrap().to_data();
        assert_close(&logits, &reference.logits, &format!("{name} logits"));
    }
}

#[test]
fn gradients_are_those_of_transformers() {
    let device = Device::default().autodiff();
    for (name, reference) in fixture().networks {
        let config = reference.config();
        let checkpoint = config.checkpoint().unwrap();
        let of_gradient = |tensor: &&CheckpointTensor| tensor.original == reference.gradient_of;
        let path = &checkpoint.iter().find(of_gradient).unwrap().path;
        assert_eq!(path, "encoder.layers.0.attention.query.weight");
        let config = TextClassifierConfig {
            encoder: config.encoder.with_dropout(0.0),
            classifier_dropout: Some(0.0),
            ..config
        };
        let network = Filler::fill(config.init(&device), checkpoint);
        // The sequence without a token is left out.
        let first: Tensor<1, Int> = Tensor::from_data([0, 1], &device);
        let input = burn_distill_core::Input::select(reference.input(&device), first);

        let logits = network.forward(input).classes().unwrap().clone();
        let gradients = logits.square().sum().backward();

        let weight = &network.encoder.layers[0].attention.query.weight;
        let gradient = weight.val().grad(&gradients).unwrap().transpose();
        assert_close(&gradient.into_data(), &reference.gradient, &name);
    }
}

#[test]
fn published_sizes_have_the_parameters_of_transformers() {
    let sizes = fixture().sizes;
    let named: Vec<_> = text_catalog()
        .iter()
        .map(|entry| entry.name)
        .filter(|name| !name.contains('<'))
        .collect();
    assert_eq!(sizes.len(), named.len());
    for name in named {
        let size = TextSize::by_name(name).unwrap();
        let encoder = TextEncoderConfig::new(size, 30_522, 512);
        let plan = TextClassifierConfig::new(encoder, 2).plan().unwrap();
        assert_eq!(plan.parameters(), sizes[name], "{name}");
    }
}

fn config(name: &str) -> TextEncoderConfig {
    TextEncoderConfig::new(TextSize::by_name(name).unwrap(), 10, 5)
}

fn classifier(name: &str, device: &Device) -> TextClassifier {
    initialize(TextClassifierConfig::new(config(name), 3).init(device))
}

/// A DistilBERT of the size of `transformer-8-2-2`.
fn distilbert() -> TextEncoderConfig {
    let bert = config("transformer-8-2-2");
    TextEncoderConfig {
        size: TextSize {
            family: TextFamily::DistilBert,
            ..bert.size
        },
        ..bert
    }
}

fn tokens(ids: [[i64; 5]; 2], mask: [[bool; 5]; 2], device: &Device) -> Tokens {
    Tokens {
        ids: Tensor::from_data(ids, device),
        mask: Tensor::from_data(mask, device),
    }
}

#[test]
fn a_plan_lists_the_tensors_of_the_network() {
    let device = Device::default();
    for config in [config("transformer-8-2-2"), distilbert()] {
        let paths = |checkpoint: Vec<CheckpointTensor>| {
            let paths = checkpoint.into_iter().map(|tensor| tensor.path);
            paths.collect::<Vec<_>>()
        };
        let found = |all: Vec<(String, TensorData)>| {
            let paths = all.into_iter().map(|(path, _)| path);
            paths.collect::<Vec<_>>()
        };
        let encoder = config.init(&device);
        assert_eq!(
            paths(config.checkpoint().unwrap()),
            found(tensors(&encoder))
        );
        assert_eq!(
            config.plan().unwrap().parameters(),
            parameter_count(&encoder)
        );
        let config = TextClassifierConfig::new(config, 3);
        let classifier = config.init(&device);
        assert_eq!(
            paths(config.checkpoint().unwrap()),
            found(tensors(&classifier))
        );
        assert_eq!(
            config.plan().unwrap().parameters(),
            parameter_count(&classifier)
        );
    }
}

#[test]
fn an_encoder_alone_has_the_names_without_a_prefix() {
    let of = |config: TextEncoderConfig, index: usize| {
        let tensor = config.checkpoint().unwrap().swap_remove(index);
        (tensor.original, tensor.path)
    };
    let (original, path) = of(config("bert-tiny"), 0);
    assert_eq!(original, "embeddings.word_embeddings.weight");
    assert_eq!(path, "embeddings.word.weight");
    let (original, _) = of(config("bert-tiny"), 5);
    assert_eq!(original, "encoder.layer.0.attention.self.query.weight");
    let (original, _) = of(distilbert(), 4);
    assert_eq!(original, "transformer.layer.0.attention.q_lin.weight");
}

#[test]
fn multiply_adds_agree_with_the_count_by_hand() {
    // Of 5 tokens four matrices 4 · 5 · 8², attention 2 · 5² · 8 and two linear layers
    // 2 · 5 · 8 · 32, in two layers; of the first token 8² and 8 · 3.
    let plan = TextClassifierConfig::new(config("transformer-8-2-2"), 3).plan();
    assert_eq!(plan.unwrap().multiply_adds(), 2 * (1280 + 400 + 2560) + 88);
}

#[test]
fn taps_are_numbered_by_layer() {
    let taps = known_taps(&classifier("transformer-8-1-2", &Device::default()));
    let taps: Vec<_> = taps
        .iter()
        .map(|(name, tap)| (name, tap.kind(), tap.shape().as_slice().to_vec()))
        .collect();
    let sequence = |name| (name, "sequence", vec![2, 5, 8]);
    assert_eq!(
        taps,
        [
            ("mask", "mask", vec![2, 5]),
            sequence("hidden.0"),
            sequence("query.1"),
            sequence("key.1"),
            sequence("value.1"),
            ("attention.1", "attention", vec![2, 2, 5, 5]),
            sequence("hidden.1"),
            ("pool", "vector", vec![2, 8]),
        ]
    );
}

#[test]
fn padding_does_not_matter_for_the_tokens() {
    let device = Device::default();
    for config in [config("transformer-8-2-2"), distilbert()] {
        let network = TextClassifierConfig::new(config, 3).init(&device);
        let mask = [[true, true, true, false, false]; 2];
        let knowledge = |ids| {
            let input = tokens(ids, mask, &device);
            network.forward_knowledge(input, &TapSelection::All)
        };
        let one = knowledge([[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]]);
        let other = knowledge([[1, 2, 3, 9, 8], [4, 5, 6, 7, 1]]);

        let kept = |knowledge: &burn_distill_core::Knowledge, tap: &str| {
            let sequence = knowledge.taps.expect(tap).into_sequence();
            sequence.narrow(1, 0, 3).into_data()
        };
        for tap in ["hidden.1", "hidden.2", "query.2"] {
            kept(&one, tap).assert_eq(&kept(&other, tap), true);
        }
        let logits = |knowledge: burn_distill_core::Knowledge| {
            let logits = knowledge.response.classes().unwrap().clone();
            logits.into_data()
        };
        logits(one).assert_eq(&logits(other), true);
    }
}

#[test]
fn a_shorter_batch_gives_the_same_as_a_padded_one() {
    let device = Device::default();
    let network = classifier("transformer-8-2-2", &device);
    let mask = [[true, true, true, false, false]; 2];
    let padded = tokens([[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]], mask, &device);
    let short = Tokens {
        ids: padded.ids.clone().narrow(1, 0, 3),
        mask: padded.mask.clone().narrow(1, 0, 3),
    };
    let logits = |input| network.forward(input).classes().unwrap().to_data();

    logits(padded).assert_approx_eq::<f32>(&logits(short), Tolerance::absolute(1e-6));
}

#[test]
fn a_sequence_without_a_token_is_finite_with_its_gradients() {
    let device = Device::default().autodiff();
    let network = classifier("transformer-8-2-2", &device);
    let input = tokens([[1, 2, 3, 4, 5]; 2], [[true; 5], [false; 5]], &device);

    let logits = network.forward(input).classes().unwrap().clone();
    let gradients = logits.clone().square().sum().backward();

    let finite = |data: TensorData| data.iter::<f32>().all(f32::is_finite);
    assert!(finite(logits.into_data()));
    let word = network.encoder.embeddings.word.weight.val();
    assert!(finite(word.grad(&gradients).unwrap().into_data()));
}

#[test]
fn scores_of_padding_are_masked_in_every_precision() {
    let device = Device::default();
    let padding = Tensor::<4, Bool>::from_data([[[[true, false, true], [true; 3]]]], &device);
    for dtype in [
        FloatDType::F64,
        FloatDType::F32,
        FloatDType::F16,
        FloatDType::BF16,
    ] {
        let scores = Tensor::<4>::full([1, 1, 2, 3], -100.0, &device).cast(dtype);

        let masked = layer::masked(scores, padding.clone());

        let weights = burn::tensor::activation::softmax(masked, 3).into_data();
        let weights: Vec<f32> = weights.iter().collect();
        assert_eq!(weights[..3], [0.0, 1.0, 0.0], "{dtype:?}");
        // Without any token, all weights are equal.
        for weight in &weights[3..] {
            assert!((weight - 1.0 / 3.0).abs() < 2e-3, "{dtype:?} {weights:?}");
        }
    }
}

#[test]
#[should_panic(expected = "A batch should have at least one sequence")]
fn an_empty_batch_is_refused() {
    let device = Device::default();
    let network = classifier("transformer-8-1-2", &device);
    network.forward(network.example(0, &device));
}

#[test]
fn the_response_of_an_encoder_is_its_last_layer_with_the_mask() {
    let device = Device::default();
    let encoder = config("transformer-8-2-2").init(&device);
    let mask = [[true, true, false, false, false], [true; 5]];
    let input = tokens([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7]], mask, &device);

    let knowledge = encoder.forward_knowledge(input, &TapSelection::All);

    let Response::Tokens {
        logits,
        mask: found,
    } = &knowledge.response
    else {
        panic!("the response is of tokens");
    };
    let last = knowledge.taps.expect("hidden.2").into_sequence();
    logits.to_data().assert_eq(&last.into_data(), true);
    found.to_data().assert_eq(&TensorData::from(mask), false);
    let tap = knowledge.taps.expect("mask").into_mask();
    tap.into_data().assert_eq(&TensorData::from(mask), false);
}

#[test]
fn dropout_is_for_training_alone() {
    let plain = Device::default();
    let logits = |network: &TextClassifier, device: &Device| {
        let input = network.example(2, device);
        network.forward(input).classes().unwrap().to_data()
    };
    let device = plain.clone().autodiff();
    for config in [config("transformer-8-1-2"), distilbert()] {
        let network = TextClassifierConfig::new(config, 3).init(&device);
        assert_ne!(logits(&network, &device), logits(&network, &device));
        let valid = network.valid();
        assert_eq!(logits(&valid, &plain), logits(&valid, &plain));
    }
}

#[test]
fn every_tensor_learns_except_the_embedding_of_the_second_segment() {
    let device = Device::default().autodiff();
    for config in [config("transformer-8-2-2"), distilbert()] {
        let network = initialize(TextClassifierConfig::new(config, 3).init(&device));
        let before = tensors(&network);
        let ids = Tensor::<2>::random([4, 5], Distribution::Uniform(0.0, 10.0), &device).int();
        let mask = Tensor::<2, Bool>::full([4, 5], true, &device);
        let logits = network.forward(Tokens { ids, mask });
        let loss = logits.classes().unwrap().clone().square().sum();
        let grads = burn::optim::GradientsParams::from_grads(loss.backward(), &network);
        let mut optimizer = burn::optim::SgdConfig::new().init();
        let after = optimizer.step(0.1, network, grads).valid();

        for ((path, after), (_, before)) in tensors(&after).iter().zip(&before) {
            // A bias of the keys adds the same to all scores of a query.
            if !path.ends_with("key.bias") {
                assert_ne!(after, before, "{path}");
            }
        }
        if let Some(segment) = after.encoder.embeddings.segment {
            let second = |data: &TensorData| data.iter::<f32>().skip(8).collect::<Vec<_>>();
            let (_, old) = before
                .iter()
                .find(|(path, _)| path.contains("segment"))
                .unwrap();
            assert_eq!(second(&segment.weight.to_data()), second(old));
        }
    }
}

#[test]
#[should_panic(
    expected = "A sequence has 6 tokens, but the network has embeddings for 5 positions"
)]
fn sequences_longer_than_the_positions_are_refused() {
    let device = Device::default();
    let network = classifier("transformer-8-1-2", &device);
    network.forward(Tokens {
        ids: Tensor::zeros([1, 6], &device),
        mask: Tensor::full([1, 6], true, &device),
    });
}

#[test]
#[should_panic(expected = "The shapes of the tokens and of their mask should be equal.")]
fn a_mask_of_another_shape_is_refused() {
    let device = Device::default();
    let network = classifier("transformer-8-1-2", &device);
    network.forward(Tokens {
        ids: Tensor::zeros([2, 5], &device),
        mask: Tensor::full([2, 4], true, &device),
    });
}

#[test]
fn names_and_aliases_are_understood() {
    for entry in text_catalog() {
        let size = TextSize::by_name(entry.example).unwrap();
        assert_eq!(size.to_string(), entry.example);
        for alias in entry.aliases {
            assert_eq!(TextSize::by_name(alias).unwrap(), size, "{alias}");
        }
    }
    // The same network has one name.
    let base = TextSize::by_name("transformer-768-12-12").unwrap();
    assert_eq!(base.to_string(), "bert-base");
}

#[test]
fn unknown_names_and_numbers_out_of_range_are_refused() {
    let error = |name: &str| TextSize::by_name(name).unwrap_err().to_string();
    assert!(error("Bert_Bas").starts_with(
        "no network named `Bert_Bas`, did you mean `bert-base`?; the known ones are bert-tiny, \
         bert-mini, "
    ));
    for name in [
        "",
        "bert",
        "transformer-",
        "transformer-8-2",
        "transformer-8-+2-2",
    ] {
        assert!(error(name).starts_with("no network named"), "{name}");
    }
    for (name, message) in [
        (
            "transformer-8-2-3",
            "the number of attention heads should be a divisor of the 8 features, but is 3",
        ),
        (
            "transformer-8-2-0",
            "the number of attention heads should be a divisor of the 8 features, but is 0",
        ),
        (
            "transformer-8-0-2",
            "the depth of a text network should be 1 or more up to 10000, but is 0",
        ),
        (
            "transformer-0-1-1",
            "a width should be from 1 to 65536, but is 0",
        ),
        (
            "transformer-99999999999999999-1-1",
            "a width should be from 1 to 65536, but is 99999999999999999",
        ),
    ] {
        assert_eq!(error(name), message);
    }
}

#[test]
fn sizes_out_of_range_are_refused() {
    let error = |config: TextEncoderConfig| config.plan().unwrap_err();
    let of = |vocabulary, length| TextEncoderConfig {
        vocabulary,
        length,
        ..config("bert-tiny")
    };
    assert_eq!(
        error(of(0, 5)).to_string(),
        "the vocabulary of a text network should be from 1 to 16777216, but is 0"
    );
    assert_eq!(
        error(of(10, 0)).to_string(),
        "the length of a text network should be from 1 to 65536, but is 0"
    );
    for (config, positions) in [
        (of(10, 5).with_positions(Some(4)), 4),
        (of(10, 5).with_positions(Some(1 << 40)), 1 << 40),
    ] {
        let expected = NetworkError::Positions {
            length: 5,
            longest: 65_536,
            positions,
        };
        assert_eq!(error(config), expected);
    }
    let classes = TextClassifierConfig::new(config("bert-tiny"), 0).plan();
    assert_eq!(classes.unwrap_err(), NetworkError::Classes(0));
}

#[test]
fn a_configuration_is_read_as_it_is_written() {
    use burn::config::Config;
    let config = TextClassifierConfig::new(distilbert().with_positions(Some(9)), 3);

    let written = serde_json::to_string(&config).unwrap();
    let read = TextClassifierConfig::load_binary(written.as_bytes()).unwrap();

    assert_eq!(format!("{read:?}"), format!("{config:?}"));
}
