//! Born-again generations: networks of one architecture, each of which learns from the previous
//! one.

use crate::common::digits::*;
use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::tensor::Device;
use burn_distill_core::{
    Batch, CrossEntropyObjective, Ensemble, Frozen, Knowledge, Network, TapSelection, Teacher,
    Weighted, tensors,
};
use burn_distill_data::{BatchLoader, digits};
use burn_distill_response::{
    ConfidenceWeighted, PermutedPredictions, ResponseObjective, SoftCrossEntropyLoss,
    SoftCrossEntropyLossConfig,
};
use burn_distill_strategy::{
    Curriculum, CurriculumError, Distillation, Generations, OfflineDistiller, Predictions,
};
use std::fs;
use std::path::Path;

const EPOCHS: usize = 3;

fn soft_cross_entropy() -> SoftCrossEntropyLoss {
    SoftCrossEntropyLossConfig::new()
        .with_temperature(1.0)
        .init()
}

type BornAgain = (
    CrossEntropyObjective,
    ResponseObjective<SoftCrossEntropyLoss>,
);

fn born_again() -> BornAgain {
    let soft = ResponseObjective::new(soft_cross_entropy(), 1.0);
    (CrossEntropyObjective::new(1.0), soft)
}

fn network(seed: u64) -> Net {
    Net::new(3, seed)
}

fn run(mut curriculum: Curriculum, count: usize) -> Result<Vec<Frozen<Net>>, CurriculumError> {
    Generations::new(count, 5).run(
        &mut curriculum,
        |name| stage(&name, EPOCHS),
        network,
        || CrossEntropyObjective::new(1.0),
        |_| born_again(),
        loaders,
    )
}

fn states(generations: &[Frozen<Net>]) -> Vec<Vec<(String, burn::tensor::TensorData)>> {
    generations.iter().map(|net| tensors(net.inner())).collect()
}

#[test]
fn generations_that_were_stopped_equal_those_that_were_not() {
    let [whole, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let expected = run(quiet(whole.path()), 3).unwrap();

    // Stopped in generation 0, in 1 and, in a resumed run with these finished, in 2.
    for (epochs, place) in [(2, 0), (2 + 2, 1), (2 + 2, 2)] {
        let error = run(stopping(stopped.path(), epochs), 3).unwrap_err();
        let expected = format!("stopped in stage `generation-{place}` after 1 of {EPOCHS} epochs");
        assert_eq!(error.to_string(), expected);
    }
    let resumed = run(quiet(stopped.path()), 3).unwrap();

    assert_eq!(states(&resumed), states(&expected));
    let history = |folder: &Path, place: usize| {
        fs::read_to_string(folder.join(format!("generation-{place}/history.csv"))).unwrap()
    };
    for place in 0..3 {
        assert_eq!(history(stopped.path(), place), history(whole.path(), place));
    }
    // A later call with more generations continues.
    let more = run(quiet(stopped.path()), 4).unwrap();
    assert_eq!(states(&more)[..3], states(&expected));
}

#[test]
fn each_generation_starts_anew_and_learns_from_the_previous_one() {
    let folder = tempfile::tempdir().unwrap();
    let generations = run(quiet(folder.path()), 3).unwrap();

    // The last generation alone, from its seed and a frozen copy of the previous one.
    let alone = tempfile::tempdir().unwrap();
    let teacher = generations[1].inner();
    let before = tensors(teacher);
    let seed = Generations::new(3, 5).seed(2);
    let model = OfflineDistiller::new(network(seed), Frozen::new(teacher.clone()), born_again());
    let mut curriculum = quiet(alone.path());
    curriculum
        .run(stage("alone", EPOCHS), model, loaders())
        .unwrap();
    let expected = curriculum.load("student", &network(0)).unwrap();

    assert_eq!(tensors(generations[2].inner()), tensors(&expected));
    assert_eq!(tensors(teacher), before, "the teacher is bit-identical");
    // Neither its initial nor its final weights are those of the previous generation.
    let begun = |g| tensors(&network(Generations::new(3, 5).seed(g)));
    assert_ne!(begun(0), begun(1));
    let states = states(&generations);
    assert!(states[0] != states[1] && states[1] != states[2]);
}

#[test]
fn a_teacher_does_not_change_with_the_network_it_was_copied_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut curriculum = quiet(folder.path());
    let original = network(1);
    let fresh = original.valid();
    let model = OfflineDistiller::without_teacher(original, CrossEntropyObjective::new(1.0));
    curriculum
        .run(stage("generation-0", 1), model, loaders())
        .unwrap();
    let student = curriculum.load("student", &fresh).unwrap();
    let teacher = Frozen::new(student.clone());
    let before = tensors(teacher.inner());

    // Continue with the network from which the teacher was frozen.
    let next = OfflineDistiller::new(student, teacher.clone(), born_again());
    curriculum
        .run(stage("generation-1", 1), next, loaders())
        .unwrap();

    assert_ne!(
        tensors(&curriculum.load("student", &fresh).unwrap()),
        before
    );
    assert_eq!(tensors(teacher.inner()), before);
}

#[test]
fn the_ensemble_is_the_mean_of_the_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let generations = run(quiet(folder.path()), 2).unwrap();
    let loader = BatchLoader::new(digits().take(30), 7).device(&Device::default());
    let ensemble = Ensemble::new(generations.clone());

    let batch: Batch<_> = loader.iter().next().unwrap().unwrap();
    let probabilities = |knowledge: Knowledge| {
        let logits = knowledge.response.classes().unwrap().clone();
        burn::tensor::activation::softmax(logits, 1)
    };
    let taught = |teacher: &Frozen<Net>| teacher.teach(&batch, &TapSelection::None);
    let mean = probabilities(taught(&generations[0]))
        .add(probabilities(taught(&generations[1])))
        .div_scalar(2.0);
    let said = ensemble.forward_knowledge(batch.view().clone(), &TapSelection::None);
    let difference = probabilities(said).sub(mean).abs().max();
    assert!(difference.into_scalar::<f32>() < 1e-6);

    let predictions = Predictions::of(&ensemble, &loader).unwrap();
    assert_eq!(predictions.predicted.len(), 30);
    // It can be a teacher like any other network.
    let distiller = OfflineDistiller::new(network(9), Frozen::new(ensemble), born_again());
    let terms = distiller.forward(&crate::common::digits::batch());
    assert!(terms.loss.into_scalar::<f32>().is_finite());
}

#[test]
fn confidence_and_permuted_predictions_are_possible_targets() {
    let folder = tempfile::tempdir().unwrap();
    let mut curriculum = quiet(folder.path());
    let generations = Generations::new(2, 5)
        .run(
            &mut curriculum,
            |name| stage(&name, EPOCHS),
            network,
            || CrossEntropyObjective::new(1.0),
            |generation| {
                let confident = ConfidenceWeighted::new(0.5);
                let permuted = Weighted::of(
                    PermutedPredictions::new(soft_cross_entropy(), generation),
                    0.5,
                );
                (confident, permuted)
            },
            loaders,
        )
        .unwrap();

    let record = &curriculum.stages()[1];
    assert!(record.train["Loss"].is_finite());
    // The loss is smaller than in the first epoch.
    let history = fs::read_to_string(folder.path().join("generation-1/history.csv")).unwrap();
    let loss = |epoch: &str| -> f64 {
        let line = history
            .lines()
            .find(|line| line.starts_with(&format!("{epoch},train,Loss,")));
        line.unwrap().rsplit(',').next().unwrap().parse().unwrap()
    };
    assert!(loss("3") < loss("1"), "{history}");
    assert_eq!(generations.len(), 2);
}
