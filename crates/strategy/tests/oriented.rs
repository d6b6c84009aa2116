//! Two velocities: one of the task and one of the distillation.

mod common;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use burn::train::{InferenceStep, TrainStep};
use burn_distill_core::{
    Batch, Context, CrossEntropyObjective, Frozen, Objective, Requirements, Terms, tensors,
};
use burn_distill_strategy::{
    OfflineDistiller, OptimizerConfig, OrientedDistiller, OrientedDistillerConfig,
};
use common::*;

/// Mean square of the distance of the first logit from that of the teacher and a trained shift.
#[derive(Module, Debug)]
struct Shifted {
    shift: Param<Tensor<1>>,
}

impl Objective for Shifted {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let first = |logits: Tensor<2>| logits.narrow(1, 0, 1).squeeze_dim::<1>(1);
        let student = first(logits(context.student));
        let distance = student.sub(first(logits(context.teacher)));
        let value = distance.sub(self.shift.val()).square().mean();
        Terms::one("shifted", value, 0.7)
    }
}

type Model = OrientedDistiller<TwoLogits, Frozen<TwoLogits>, (CrossEntropyObjective, Shifted)>;

const STUDENT: [f64; 2] = [0.7, -0.4];
const TEACHER: [f64; 2] = [1.5, -1.1];
const SHIFT: f64 = 0.2;
const INPUTS: [f64; 3] = [1.0, -0.5, 0.3];
const PENALTY: f64 = 0.05;

fn config(momentum: f64, delta: f64) -> OrientedDistillerConfig {
    OrientedDistillerConfig::new()
        .with_momentum(momentum)
        .with_delta(delta)
        .with_weight_decay(PENALTY)
}

fn parts(
    device: &Device,
) -> (
    TwoLogits,
    Frozen<TwoLogits>,
    (CrossEntropyObjective, Shifted),
) {
    let shift = Param::from_tensor(Tensor::from_data([SHIFT], device));
    (
        TwoLogits::new(STUDENT, device),
        Frozen::new(TwoLogits::new(TEACHER, device)),
        (CrossEntropyObjective::new(1.0), Shifted { shift }),
    )
}

fn model(momentum: f64, delta: f64, device: &Device) -> Model {
    let (student, teacher, objective) = parts(device);
    config(momentum, delta).init((student, teacher), objective, ["cross-entropy"])
}

fn three(device: &Device) -> Batch<Tensor<2>> {
    batch(&INPUTS.map(|x| x as f32), &[0, 1, 2], at(1, 0), device)
}

fn descend<M>(model: M, batch: &Batch<Tensor<2>>) -> M
where
    M: Module + TrainStep<Input = Batch<Tensor<2>>>,
{
    step(model, batch)
}

fn shift_of(model: &Model) -> f64 {
    values(model.offline.objective.1.shift.val())[0]
}

#[test]
fn steps_agree_with_those_computed_by_hand() {
    let device = Device::default().autodiff();
    let (momentum, delta) = (0.8, 0.15);
    let mut model = model(momentum, delta, &device);
    let (mut student, mut shift) = (STUDENT, SHIFT);
    let (mut task, mut distillation, mut of_shift) = ([0.0; 2], [0.0; 2], 0.0);

    for _ in 0..4 {
        let labels = |w: [f64; 2]| {
            let rows = INPUTS.map(|x| cross_entropy(w.map(|w| w * x), [1.0, 0.0]));
            rows.iter().sum::<f64>() / 3.0
        };
        let shifted = |w: [f64; 2], shift: f64| {
            let rows = INPUTS.map(|x| (x * (w[0] - TEACHER[0]) - shift).powi(2));
            0.7 * rows.iter().sum::<f64>() / 3.0
        };
        let (g_task, g_distillation) = (
            slope(labels, student),
            slope(|w| shifted(w, shift), student),
        );
        let [g_shift] = slope(|[shift]| shifted(student, shift), [shift]);
        for i in 0..2 {
            task[i] = (momentum - delta) * task[i] + g_task[i] + PENALTY * student[i];
            distillation[i] = (momentum + delta) * distillation[i] + g_distillation[i];
        }
        // The task does not reach the shift: the plain momentum, and the weight decay.
        of_shift = momentum * of_shift + g_shift + PENALTY * shift;
        for i in 0..2 {
            student[i] -= RATE * (task[i] + distillation[i]);
        }
        shift -= RATE * of_shift;

        model = descend(model, &three(&device));
        assert_close(model.offline.student.weights(), student);
        assert!((shift_of(&model) - shift).abs() < 1e-5, "{shift}");
    }
    let teacher = model.offline.teacher.inner().weights();
    assert_eq!(teacher, TwoLogits::new(TEACHER, &device).weights());
}

#[test]
fn without_a_difference_it_is_plain_momentum() {
    let device = Device::default().autodiff();
    let (student, teacher, objective) = parts(&device);
    let mut plain = OfflineDistiller::new(student, teacher, objective);
    let mut oriented = model(0.9, 0.0, &device);
    let mut momentum = OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: PENALTY,
        clip_norm: None,
    }
    .init();

    for _ in 0..4 {
        let output = TrainStep::step(&plain, three(&device));
        plain = plain.optimize(&mut momentum, RATE.into(), output.grads);
        oriented = descend(oriented, &three(&device));
        assert_close(oriented.offline.student.weights(), plain.student.weights());
    }
}

#[test]
fn a_checkpoint_holds_the_velocities() {
    let device = Device::default().autodiff();
    let batch = three(&device);
    let oriented = |model: Model| descend(descend(model, &batch), &batch).valid().train();
    let trained = oriented(model(0.8, 0.1, &device));

    let restored = model(0.8, 0.1, &device).load_record(trained.clone().into_record());
    assert_eq!(tensors(&restored), tensors(&trained));
    let next = |model: Model| descend(model, &batch).offline.student.weights();
    let expected = next(trained);
    assert_eq!(next(restored), expected);
    // Without the velocities the next step is another one.
    let mut fresh = model(0.8, 0.1, &device);
    fresh.offline = oriented(model(0.8, 0.1, &device)).offline;
    assert_ne!(next(fresh), expected);
}

#[test]
fn statistics_are_updated_once_per_batch_and_the_loss_is_that_of_all_terms() {
    let device = Device::default().autodiff();
    let networks = || {
        let teacher = Frozen::new(Counted::new(2.0, &device));
        (Counted::new(1.0, &device), teacher)
    };
    let batch = samples(at(1, 0), &device);
    let oriented = config(0.9, 0.05).init(networks(), labels_and_soft_targets(), ["cross-entropy"]);
    let (student, teacher) = networks();
    let plain = OfflineDistiller::new(student, teacher, labels_and_soft_targets());

    let output = TrainStep::step(&oriented, batch.clone()).item;
    let expected = TrainStep::step(&plain, batch.clone()).item;
    assert_eq!(terms(&output.metrics), terms(&expected.metrics));
    // The second pass is that of a copy.
    let (own, other) = (&oriented.offline.student, &plain.student);
    assert_eq!(own.statistics(), other.statistics());
    assert_eq!(own.asked(), (2, 0));

    let before = tensors(&oriented.valid());
    let batch = samples(at(1, 0), &device.clone().without_autodiff());
    InferenceStep::step(&oriented.valid(), batch);
    assert_eq!(tensors(&oriented.valid()), before);
}

#[test]
#[should_panic(expected = "Two velocities need a step of the optimizer for each batch")]
fn gradient_accumulation_is_refused() {
    let device = Device::default().autodiff();
    let model = model(0.9, 0.05, &device);
    TrainStep::step(&model, three(&device));
    TrainStep::step(&model, three(&device));
}

#[test]
#[should_panic(
    expected = "terms of the task (cross-entropie) and others, found cross-entropy, shifted."
)]
fn a_task_without_a_term_is_refused() {
    let device = Device::default().autodiff();
    let (student, teacher, objective) = parts(&device);
    let model = config(0.9, 0.05).init((student, teacher), objective, ["cross-entropie"]);
    TrainStep::step(&model, three(&device));
}

#[test]
#[should_panic(
    expected = "`delta` should be from 0, at most the momentum, 0.9, and below 0.100000"
)]
fn a_momentum_of_one_is_refused() {
    model(0.9, 0.1, &Device::default());
}
