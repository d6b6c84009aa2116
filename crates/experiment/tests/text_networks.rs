//! Recipes of text networks on a small data set of tokens.

mod common;

use anyhow::Result;
use burn_distill_experiment::ExperimentResult;
use burn_distill_recipe::{ArrayDataset, Registry};
use std::path::Path;

/// Sentences of two to six words, whose class is that of the word after the marker, which is 0.
fn sentences() -> Result<ArrayDataset> {
    let words = 11;
    let sentence = |number: usize| -> (Vec<usize>, usize) {
        let length = 2 + number % 5;
        let mut sentence: Vec<_> = (0..length)
            .map(|place| 1 + (7 * number + 3 * place * place + number / 11) % (words - 1))
            .collect();
        let marker = number / 5 % (length - 1);
        sentence[marker] = 0;
        let class = sentence[marker + 1] % 2;
        (sentence, class)
    };
    let (sentences, labels): (Vec<_>, Vec<_>) = (0..300).map(sentence).unzip();
    ArrayDataset::tokens("sentences", words, &sentences, labels, ["even", "odd"])
}

fn run(folder: &Path, text: &str) -> Result<ExperimentResult> {
    let registry = Registry::standard().with_dataset("sentences", |_| sentences());
    common::run(folder, text, &registry)
}

fn recipe(teacher: &str, student: &str, epochs: [usize; 2], losses: &str) -> String {
    let training = |epochs: usize| {
        format!(
            "training = {{ epochs = {epochs}, batch_size = 30, optimizer = {{ kind = 'adam-w' }}, \
             learning_rate = {{ base = 0.005 }} }}"
        )
    };
    format!(
        "name = 'text'\ndata = {{ name = 'sentences' }}\n\
         [teacher]\nmodel = {teacher}\n{}\n[student]\nmodel = {student}\n{}\n{losses}",
        training(epochs[0]),
        training(epochs[1])
    )
}

#[test]
fn a_student_of_text_learns_from_a_teacher_of_text() {
    let folder = tempfile::tempdir().unwrap();
    let text = recipe(
        "'transformer-32-2-4'",
        "{ name = 'transformer-16-1-4', dropout = 0 }",
        [15, 15],
        "[[loss]]\nkind = 'kd'\n\
         [[loss]]\nkind = 'hidden-states'\nstudent = 'hidden.1'\nteacher = 'hidden.2'",
    );

    let result = run(folder.path(), &text).unwrap();

    let teacher = result.teacher.unwrap();
    assert!(
        teacher.accuracy.as_ref().unwrap().mean > 0.9,
        "{:?}",
        teacher.accuracy
    );
    assert!(result.distilled.accuracy.unwrap().mean > 0.8);
}

#[test]
fn every_method_of_text_runs_between_two_networks() {
    for (method, teacher, losses) in [
        (
            "TinyBERT",
            "{ name = 'transformer-24-4-4', positions = 8, vocabulary = 20 }",
            "[[loss]]\nkind = 'hidden-states'\n[[loss]]\nkind = 'attention-scores'",
        ),
        (
            "PKD",
            "'transformer-16-4-2'",
            "[[loss]]\nkind = 'patient'\n[[loss]]\nkind = 'kd'",
        ),
        (
            "DistilBERT",
            "'transformer-24-4-2'",
            "[[loss]]\nkind = 'hidden-cosine'\n[[loss]]\nkind = 'kd'",
        ),
        (
            "MiniLM",
            "'transformer-24-3-4'",
            "[[loss]]\nkind = 'attention-relation'",
        ),
        (
            "MiniLMv2",
            "'transformer-24-3-2'",
            "[[loss]]\nkind = 'self-attention-relations'\nrelation_heads = 8",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = recipe(teacher, "'transformer-16-2-4'", [1, 2], losses);

        let result = run(folder.path(), &text).unwrap();

        assert_eq!(result.status, "complete", "{method}");
    }
}
