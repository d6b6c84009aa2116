//! Multi-head graph distillation in its two stages, and in one training.

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill::architecture::{ConvNet, ConvNetConfig};
use burn_distill::core::{
    Batch, Clock, Frozen, MultiLayerTerm, Network, Objective, Targets, Weighted, initialize,
    tensors,
};
use burn_distill::relation::{
    AttentionHeads, AttentionHeadsObjective, ChannelProjections, MultiHeadGraphConfig,
    MultiHeadGraphObjective, Projected,
};
use burn_distill::strategy::OfflineDistiller;
use std::sync::{Mutex, MutexGuard, PoisonError};

const LAYERS: [&str; 2] = ["layer1", "layer2"];

fn device() -> Device {
    Device::default().autodiff()
}

/// Locks the generator of the device, which both tests share.
fn lock_generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn network(width: usize) -> ConvNet {
    device().seed(width as u64);
    initialize(ConvNetConfig::new(vec![width, width + 2], [1, 6, 6], 3).init(&device()))
}

fn config() -> MultiHeadGraphConfig {
    MultiHeadGraphConfig::new().with_heads_epochs(2)
}

fn batch(epoch: usize) -> Batch<Tensor<4>> {
    let images = Tensor::arange(0..8 * 36, &device()).float();
    let images = images.mul_scalar(0.7).sin().reshape([8, 1, 6, 6]);
    Batch {
        views: vec![images],
        targets: Targets::Unlabeled,
        ids: (0..8).collect(),
        clock: Clock {
            epoch,
            batch: 0,
            batches: 1,
        },
    }
}

type Trained<S, O> = OfflineDistiller<S, Frozen<ConvNet>, O>;

/// Trains for some steps, and returns the model and the losses.
fn train<S, O>(
    mut distiller: Trained<S, O>,
    epoch: usize,
    steps: usize,
) -> (Trained<S, O>, Vec<f32>)
where
    S: Network<Input = Tensor<4>>,
    O: Objective,
{
    let mut optimizer = SgdConfig::new().init();
    let losses = (0..steps)
        .map(|_| {
            let output = TrainStep::step(&distiller, batch(epoch));
            distiller = optimizer.step(0.05, distiller.clone(), output.grads);
            output.item.loss.into_scalar()
        })
        .collect();
    (distiller, losses)
}

fn mean(losses: &[f32]) -> f32 {
    losses.iter().sum::<f32>() / losses.len() as f32
}

#[test]
fn heads_learn_from_the_teacher_and_then_the_student_from_the_heads() {
    let _alone = lock_generator();
    let (student, teacher) = (network(3), network(4));
    let [student_before, teacher_before] = [&student, &teacher].map(tensors);
    let heads = config().init_heads(&[4, 6], &device());
    let heads_before = tensors(&heads);

    let objective = AttentionHeadsObjective::new(config(), heads, LAYERS);
    let first = OfflineDistiller::new(
        Frozen::new(student.clone()),
        Frozen::new(teacher.clone()),
        objective,
    );
    let (first, losses) = train(first, 1, 30);

    assert!(mean(&losses[25..]) < mean(&losses[..5]), "{losses:?}");
    assert_eq!(tensors(first.student.inner()), student_before);
    assert_eq!(tensors(first.teacher.inner()), teacher_before);
    let heads = first.objective.heads;
    // In validation mode, since running statistics lag a step behind in training mode.
    let changed = tensors(&heads.valid());
    assert!(
        changed.iter().zip(&heads_before).all(|(a, b)| a != b),
        "statistics too"
    );

    let projections = ChannelProjections::new(&[3, 5], &[4, 6], &device());
    let loss = Projected::new(config().init(heads.clone()), projections);
    let objective = Weighted::of(MultiLayerTerm::new(initialize(loss), LAYERS, LAYERS), 1.0);
    let second = OfflineDistiller::new(student, Frozen::new(teacher), objective);
    let (second, losses) = train(second, 1, 20);

    assert!(mean(&losses[15..]) < 0.5 * mean(&losses[..5]), "{losses:?}");
    assert_ne!(tensors(&second.student), student_before);
    let frozen: &AttentionHeads = second.objective.term.loss.loss.heads.inner();
    assert_eq!(tensors(frozen), changed);
}

#[test]
fn a_single_training_switches_from_heads_to_student_by_the_epoch() {
    let _alone = lock_generator();
    let (student, teacher) = (network(3), network(4));
    let heads = config().init_heads(&[4, 6], &device());
    let projections = ChannelProjections::new(&[3, 5], &[4, 6], &device());
    let heads = AttentionHeadsObjective::new(config(), heads, LAYERS);
    let objective = initialize(MultiHeadGraphObjective::new(
        heads,
        projections,
        LAYERS,
        1.0,
    ));
    let distiller = OfflineDistiller::new(student, Frozen::new(teacher), objective);
    let state = |distiller: &Trained<ConvNet, MultiHeadGraphObjective>| {
        let convolution = tensors(&distiller.student.layer[0].conv);
        (
            convolution,
            tensors(&distiller.objective.heads.heads.valid()),
        )
    };
    let (student, heads) = state(&distiller);

    let (distiller, losses) = train(distiller, 2, 30);
    let (same_student, trained_heads) = state(&distiller);
    assert!(mean(&losses[25..]) < mean(&losses[..5]), "{losses:?}");
    assert_eq!(same_student, student);
    assert_ne!(trained_heads, heads);

    let (distiller, losses) = train(distiller, 3, 20);
    let (trained_student, same_heads) = state(&distiller);
    assert!(mean(&losses[15..]) < mean(&losses[..5]), "{losses:?}");
    assert_ne!(trained_student, student);
    assert_eq!(same_heads, trained_heads);
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    let _alone = lock_generator();
    let built = |seed: u64| {
        device().seed(seed);
        let heads = initialize(config().init_heads(&[4, 6], &device()));
        let projections = initialize(ChannelProjections::new(&[3, 5], &[4, 6], &device()));
        let heads = AttentionHeadsObjective::new(config(), heads, LAYERS);
        let objective = MultiHeadGraphObjective::new(heads, projections, LAYERS, 1.0);
        let student = initialize(ConvNetConfig::new(vec![3, 5], [1, 6, 6], 3).init(&device()));
        OfflineDistiller::new(student, Frozen::new(network(4)), objective)
    };
    // The dropout of the heads is random: both draw the same numbers.
    let step = |distiller: Trained<ConvNet, MultiHeadGraphObjective>, epoch| {
        device().seed(11);
        let (distiller, losses) = train(distiller, epoch, 1);
        (tensors(&distiller.valid()), losses)
    };
    for epoch in [1, 3] {
        let (original, _) = train(built(1), epoch, 2);
        // In validation mode, as it is saved: running statistics lag behind in training mode.
        let original = original.valid().train();
        let record = original.clone().into_record();
        let other = built(2);
        for part in [
            tensors(&other.student.layer[0].conv) != tensors(&original.student.layer[0].conv),
            tensors(&other.objective.heads) != tensors(&original.objective.heads),
        ] {
            assert!(part, "the other training has weights of its own");
        }
        let resumed = other.load_record(record);

        assert_eq!(step(resumed, epoch), step(original, epoch), "epoch {epoch}");
    }
}
