//! Recipes of tokens and of sequences, run by a program without the command.

mod common;

use anyhow::Result;
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn_distill::core::{Network, Response, Tap, TapRecorder};
use burn_distill_experiment::ExperimentResult;
use burn_distill_recipe::{ArrayDataset, Registry, Tokens};
use std::path::Path;

/// The mean of the embeddings of the tokens that are none of the padding.
#[derive(Module, Debug)]
struct BagOfWords {
    embedding: Embedding,
    output: Linear,
    #[module(skip)]
    length: usize,
}

impl Network for BagOfWords {
    type Input = Tokens;

    fn forward_tapped(&self, input: Tokens, taps: &mut TapRecorder) -> Response {
        let mask = input.mask.float().unsqueeze_dim::<3>(2);
        let words = self.embedding.forward(input.ids).mul(mask.clone());
        let count = mask.sum_dim(1).clamp_min(1.0);
        let mean: Tensor<2> = words.sum_dim(1).div(count).squeeze_dim(1);
        taps.offer("pool", || Tap::Vector(mean.clone()));
        self.output.forward(mean).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tokens {
        Tokens {
            ids: Tensor::zeros([samples, self.length], device),
            mask: Tensor::zeros([samples, self.length], device),
        }
    }
}

/// The mean over a sequence.
#[derive(Module, Debug)]
struct Mean {
    output: Linear,
    #[module(skip)]
    length: usize,
}

impl Network for Mean {
    type Input = Tensor<3>;

    fn forward_tapped(&self, input: Tensor<3>, _: &mut TapRecorder) -> Response {
        let mean: Tensor<2> = input.mean_dim(1).squeeze_dim(1);
        self.output.forward(mean).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<3> {
        Tensor::zeros([samples, self.length, self.output.weight.dims()[0]], device)
    }
}

/// Sentences of one to four words, whose class is that of most of their words.
fn sentences() -> Result<ArrayDataset> {
    let sentence = |place: usize| (0..1 + place % 4).map(move |word| (7 * place + 3 * word) % 10);
    let sentences: Vec<Vec<usize>> = (0..200).map(|place| sentence(place).collect()).collect();
    let class = |words: &Vec<usize>| {
        let large = words.iter().filter(|&&word| word >= 5).count();
        usize::from(2 * large > words.len())
    };
    let labels = sentences.iter().map(class).collect();
    ArrayDataset::tokens("sentences", 10, &sentences, labels, ["small", "large"])
}

/// Waves of two frequencies.
fn waves() -> Result<ArrayDataset> {
    let labels: Vec<usize> = (0..100).map(|place| place % 2).collect();
    let wave = |(place, &class): (usize, &usize)| {
        let at = move |step: usize| (place as f32 + (1 + class) as f32 * step as f32).sin();
        (0..6).flat_map(move |step| [at(step), at(step).abs()])
    };
    let values = labels.iter().enumerate().flat_map(wave).collect();
    ArrayDataset::sequences("waves", [6, 2], values, labels, ["slow", "fast"])
}

fn registry() -> Registry {
    Registry::standard()
        .with_dataset("sentences", |_| sentences())
        .with_dataset("waves", |_| waves())
        .with_network("bag-of-words", |options, task, device| {
            let [length, vocabulary] = task.tokens()?;
            let width = options.get("width").and_then(|width| width.as_integer());
            let width = width.unwrap_or(4) as usize;
            Ok(BagOfWords {
                embedding: EmbeddingConfig::new(vocabulary, width).init(device),
                output: LinearConfig::new(width, task.classes).init(device),
                length,
            })
        })
        .with_network("mean", |_, task, device| {
            let [length, features] = task.sequence()?;
            let output = LinearConfig::new(features, task.classes).init(device);
            Ok(Mean { output, length })
        })
}

fn run(folder: &Path, text: &str) -> Result<ExperimentResult> {
    common::run(folder, text, &registry())
}

const TRAINING: &str = "training = { epochs = 8, batch_size = 16, learning_rate = { base = 0.5 } }";

#[test]
fn a_recipe_of_tokens_is_distilled() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = 'words'\n\
         data = {{ name = 'sentences', labels_per_class = 10 }}\n\
         [teacher]\nmodel = {{ name = 'bag-of-words', width = 16 }}\n{TRAINING}\n\
         [student]\nmodel = 'bag-of-words'\n{TRAINING}\n\
         [[loss]]\nkind = 'kd'\n[[loss]]\nkind = 'relational-distance'\nweight = 1"
    );

    let result = run(folder.path(), &text).unwrap();

    let teacher = result.teacher.unwrap();
    assert!(
        teacher.accuracy.as_ref().unwrap().mean > 0.9,
        "{:?}",
        teacher.accuracy
    );
    assert!(result.distilled.accuracy.as_ref().unwrap().mean > 0.7);
    assert_eq!(result.distilled.parameters, 10 * 4 + 4 * 2 + 2);
}

#[test]
fn sequences_are_remembered_from_batch_to_batch() {
    for strategy in ["dlb", "cs-kd", "mutual"] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "name = 'waves'\ndata = {{ name = 'waves' }}\nstrategy = {{ kind = '{strategy}' }}\n\
             [student]\nmodel = 'mean'\n{TRAINING}"
        );

        let result = run(folder.path(), &text).unwrap();
        assert_eq!(result.status, "complete", "{strategy}");
    }
}

#[test]
fn a_network_for_another_kind_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = 'words'\ndata = {{ name = 'sentences' }}\n\
         [teacher]\nmodel = 'mean'\n{TRAINING}\n[student]\nmodel = 'bag-of-words'\n{TRAINING}\n\
         [[loss]]\nkind = 'kd'"
    );

    let error = format!("{:#}", run(folder.path(), &text).err().unwrap());
    assert!(
        error.contains(
            "teacher.model: the network takes sequences of vectors, but the data is sequences of 4 \
             tokens out of 10"
        ),
        "{error}"
    );
    assert!(!folder.path().join("run").exists());
}
