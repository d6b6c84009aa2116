//! Teacher assistants: each network learns from the one before it, or from all of them.

use crate::common::digits::*;
use crate::common::{TwoLogits, at, cross_entropy, softmax};
use burn::module::Module;
use burn::tensor::TensorData;
use burn_distill_core::{CrossEntropyObjective, DenseGuidance, Frozen, tensors};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::{
    Assistants, Curriculum, CurriculumError, Distillation, OfflineDistiller,
};
use std::fs;

const EPOCHS: usize = 3;

type Guided = (
    CrossEntropyObjective,
    DenseGuidance<ResponseObjective<SoftTargetLoss>>,
);

/// The teacher has a width of 5.
fn network(place: usize, seed: u64) -> Net {
    Net::new([4, 3, 2][place], seed)
}

fn soft() -> ResponseObjective<SoftTargetLoss> {
    ResponseObjective::new(SoftTargetLossConfig::new().init(), 0.5)
}

fn guided(guides: usize) -> Guided {
    let dropped = usize::from(guides > 1);
    let guidance = DenseGuidance::new((0..guides).map(|_| soft()), dropped, 9);
    (CrossEntropyObjective::new(0.5), guidance)
}

fn run(mut curriculum: Curriculum) -> Result<Vec<Frozen<Net>>, CurriculumError> {
    Assistants::new(2, 5).run(
        &mut curriculum,
        |name| stage(&name, EPOCHS),
        network,
        Frozen::new(teacher()),
        |_| soft_targets(),
        loaders,
    )
}

fn run_densely(mut curriculum: Curriculum) -> Result<Vec<Frozen<Net>>, CurriculumError> {
    Assistants::new(2, 5).run_densely(
        &mut curriculum,
        |name| stage(&name, EPOCHS),
        network,
        Frozen::new(teacher()),
        guided,
        loaders,
    )
}

fn states(networks: &[Frozen<Net>]) -> Vec<Vec<(String, TensorData)>> {
    networks.iter().map(|net| tensors(net.inner())).collect()
}

#[test]
fn chains_that_were_stopped_in_and_between_links_equal_those_that_were_not() {
    for run in [run, run_densely] {
        let [whole, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let expected = run(quiet(whole.path())).unwrap();

        // Stopped in assistant 1, in assistant 2 and in the student.
        for (epochs, place) in [
            (2, "assistant-1"),
            (2 + 2, "assistant-2"),
            (2 + 2, "student"),
        ] {
            let error = run(stopping(stopped.path(), epochs)).unwrap_err();
            let expected = format!("stopped in stage `{place}` after 1 of {EPOCHS} epochs");
            assert_eq!(error.to_string(), expected);
        }
        let resumed = run(quiet(stopped.path())).unwrap();
        assert_eq!(states(&resumed), states(&expected));

        // Killed between two links: those that are finished are not trained again.
        fs::remove_dir_all(stopped.path().join("student")).unwrap();
        let journal = stopped.path().join("curriculum.json");
        let text = fs::read_to_string(&journal).unwrap();
        let mut journaled: serde_json::Value = serde_json::from_str(&text).unwrap();
        journaled["stages"].as_array_mut().unwrap().pop();
        fs::write(&journal, journaled.to_string()).unwrap();
        let again = run(quiet(stopped.path())).unwrap();
        assert_eq!(states(&again), states(&expected));
    }
}

#[test]
fn each_network_of_a_chain_learns_from_the_one_before_it_from_scratch() {
    let folder = tempfile::tempdir().unwrap();
    let networks = run(quiet(folder.path())).unwrap();
    let before = states(&networks);

    // The student alone, from its seed and a frozen copy of the last assistant.
    let alone = tempfile::tempdir().unwrap();
    let teacher = Frozen::new(networks[1].inner().clone());
    let student = network(2, Assistants::new(2, 5).seed(2));
    let fresh = student.valid();
    let model = OfflineDistiller::new(student, teacher, soft_targets());
    let mut curriculum = quiet(alone.path());
    curriculum
        .run(stage("alone", EPOCHS), model, loaders())
        .unwrap();

    let expected = curriculum.load("student", &fresh).unwrap();
    assert_eq!(tensors(networks[2].inner()), tensors(&expected));
    assert_eq!(states(&networks), before, "an assistant does not change");
}

#[test]
fn guides_are_the_teacher_and_all_earlier_assistants() {
    let folder = tempfile::tempdir().unwrap();
    let networks = run_densely(quiet(folder.path())).unwrap();

    // The student alone, from its seed, the teacher and both assistants.
    let alone = tempfile::tempdir().unwrap();
    let guides = vec![
        Frozen::new(teacher()),
        networks[0].clone(),
        networks[1].clone(),
    ];
    let student = network(2, Assistants::new(2, 5).seed(2));
    let fresh = student.valid();
    let model = OfflineDistiller::new(student, guides.clone(), guided(3));
    let mut curriculum = quiet(alone.path());
    curriculum
        .run(stage("alone", EPOCHS), model, loaders())
        .unwrap();
    let expected = curriculum.load("student", &fresh).unwrap();
    assert_eq!(tensors(networks[2].inner()), tensors(&expected));

    // The loss is the sum over the guides that are kept.
    let batch = batch();
    let guidance = guided(3).1;
    let kept = guidance.kept(batch.clock);
    let loss = |guidance, guides: Vec<Frozen<Net>>| {
        let model = OfflineDistiller::new(network(2, 1), guides, guidance);
        model.forward(&batch).loss.into_scalar::<f64>()
    };
    let of_one = |index: usize| loss(guided(1).1, vec![guides[index].clone()]);
    let sum: f64 = kept.iter().map(|&index| of_one(index)).sum();
    assert_eq!(kept.len(), 2);
    assert!(sum > 0.0 && (loss(guidance, guides.clone()) - sum).abs() < 1e-5);
}

/// The loss of DGKD's code, `(1 − λ) CE + λ T² Σ nn.KLDivLoss()`, whose divergence is a mean over rows
/// and classes.
fn loss_of_the_authors(student: [f64; 2], guides: &[[f64; 2]], inputs: &[f64]) -> f64 {
    const LAMBDA: f64 = 0.7;
    const TEMPERATURE: f64 = 5.0;
    let (rows, classes) = (inputs.len() as f64, 2.0);
    let softened = |weights: [f64; 2], x: f64| softmax(weights.map(|w| w * x / TEMPERATURE));
    let mut labels = 0.0;
    let mut divergence = 0.0;
    for &x in inputs {
        labels += cross_entropy(student.map(|w| w * x), [1.0, 0.0]) / rows;
        let q = softened(student, x);
        for &guide in guides {
            let p = softened(guide, x);
            let row: f64 = (0..2).map(|k| p[k] * (p[k] / q[k]).ln()).sum();
            divergence += row / (rows * classes);
        }
    }
    (1.0 - LAMBDA) * labels + LAMBDA * TEMPERATURE.powi(2) * divergence
}

#[test]
fn a_weight_over_the_classes_repeats_the_loss_of_the_authors_code() {
    let device = burn::tensor::Device::default();
    let (student, guides) = ([0.7, -0.4], [[1.5, -1.1], [0.9, 0.3], [1.1, -0.2]]);
    let inputs = [1.0, -0.5, 0.3];
    let of_inputs = inputs.map(|x| x as f32);

    for dropped in [0, 1] {
        let soft = SoftTargetLossConfig::new().with_temperature(5.0).init();
        // λ = 0.7 and two classes.
        let each = guides.map(|_| ResponseObjective::new(soft.clone(), 0.7 / 2.0));
        let guidance = DenseGuidance::new(each, dropped, 3);
        let batch = crate::common::batch(&of_inputs, &[0, 1, 2], at(2, 1), &device);
        let kept: Vec<_> = guidance.kept(batch.clock);
        let frozen = guides.map(|weights| Frozen::new(TwoLogits::new(weights, &device)));
        let model = OfflineDistiller::new(
            TwoLogits::new(student, &device),
            frozen.to_vec(),
            (CrossEntropyObjective::new(1.0 - 0.7), guidance),
        );

        let guides: Vec<_> = kept.iter().map(|&index| guides[index]).collect();
        let expected = loss_of_the_authors(student, &guides, &inputs);
        let loss = model.forward(&batch).loss.into_scalar::<f64>();
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }
}

#[test]
fn the_best_epoch_of_an_assistant_can_teach() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    // A rate that is too high at the end, so that the last epoch is not the best one.
    let train = |mut curriculum: Curriculum, best: bool| {
        let rate = burn_distill_strategy::LearningRateConfig {
            base_lr: 0.6,
            warm_up: 5,
            shape: burn_distill_strategy::LrSchedule::Constant {},
        };
        let stage = stage("assistant-1", 6).with_learning_rate(rate);
        let student = network(0, 3);
        let fresh = student.valid();
        let model = distiller(student, &teacher(), soft_targets());
        curriculum.run(stage.with_best_epoch(best), model, loaders())?;
        curriculum.load("student", &fresh)
    };
    let best = train(quiet(&whole), true).unwrap();

    let history = fs::read_to_string(whole.join("assistant-1/history.csv")).unwrap();
    let accuracies: Vec<f64> = history
        .lines()
        .filter(|line| line.contains(",valid,Accuracy,"))
        .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    let highest = accuracies.iter().copied().fold(0.0, f64::max);
    let first = accuracies
        .iter()
        .position(|&value| value == highest)
        .unwrap()
        + 1;
    assert!(
        first < 6,
        "the test needs an earlier best epoch: {accuracies:?}"
    );
    // Only the best epoch is kept, and it is what a training of that length ends with.
    let kept: Vec<_> = fs::read_dir(whole.join("assistant-1/snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(kept, [format!("epoch-{first}.bpk")]);
    let last = train(quiet(&folder.path().join("last")), false).unwrap();
    assert_ne!(tensors(&best), tensors(&last));

    // A training that is stopped after its best epoch returns to it as well.
    let error = train(stopping(&stopped, 6), true).unwrap_err();
    assert!(error.to_string().contains("after 5 of 6 epochs"), "{error}");
    let resumed = train(quiet(&stopped), true).unwrap();
    assert_eq!(tensors(&resumed), tensors(&best));
}
