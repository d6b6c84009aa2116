//! Self-distillation from the last mini-batch.

use crate::common::{
    Counted, RATE, TwoLogits, assert_close, at, batch, descent, labeled, samples, softmax, step,
    terms,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::{InferenceStep, TrainStep};
use burn_distill_core::{
    Batch, Bufferable, Context, Knowledge, Network, Objective, Requirements, TapSelection, Targets,
    Terms, tensors,
};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::LastBatchDistiller;
use std::sync::{Arc, Mutex};

const WEIGHTS: [f64; 2] = [0.3, -0.2];
const TEMPERATURE: f64 = 3.0;

type Soft = ResponseObjective<SoftTargetLoss>;
type LastBatch<S, O> = LastBatchDistiller<S, <<S as Network>::Input as Bufferable>::Buffers, O>;

fn soft() -> Soft {
    let loss = SoftTargetLossConfig::new().with_temperature(TEMPERATURE);
    ResponseObjective::new(loss.init(), 1.0)
}

fn model(device: &Device) -> LastBatch<TwoLogits, Soft> {
    LastBatchDistiller::new(TwoLogits::new(WEIGHTS, device), 3, soft())
}

/// Samples of these classes with two views each.
fn two_views(
    views: [&[f32]; 2],
    classes: &[i64],
    ids: &[usize],
    clock: burn_distill_core::Clock,
    device: &Device,
) -> Batch<Tensor<2>> {
    let [first, second] = views.map(|inputs| batch(inputs, ids, clock, device));
    Batch {
        views: vec![first.view().clone(), second.view().clone()],
        targets: Targets::classes(Tensor::from_data(classes, device)),
        ..first
    }
}

fn times(weights: [f64; 2], input: f64) -> [f64; 2] {
    weights.map(|weight| weight * input)
}

/// Returns the gradient of the cross-entropy of a sample with a class.
fn of_label(weights: [f64; 2], (input, class): (f64, usize)) -> [f64; 2] {
    let p = softmax(times(weights, input));
    [0, 1].map(|k| (p[k] - if k == class { 1.0 } else { 0.0 }) * input)
}

/// Returns the gradient of the soft targets of a sample with past logits.
fn of_past(weights: [f64; 2], input: f64, past: [f64; 2]) -> [f64; 2] {
    let [p, q] = [times(weights, input), past].map(|z| softmax(times(z, 1.0 / TEMPERATURE)));
    [0, 1].map(|k| TEMPERATURE * (p[k] - q[k]) * input)
}

fn descend(weights: [f64; 2], gradients: &[(f64, [f64; 2])]) -> [f64; 2] {
    [0, 1].map(|k| weights[k] - RATE * gradients.iter().map(|(share, g)| share * g[k]).sum::<f64>())
}

#[test]
fn steps_agree_with_those_computed_by_hand() {
    let device = Device::default().autodiff();
    let first = two_views(
        [&[1.0, -2.0], &[3.0, 0.5]],
        &[0, 1],
        &[4, 7],
        at(1, 0),
        &device,
    );
    let second = two_views([&[2.0], &[-1.0]], &[1], &[5], at(1, 1), &device);
    let third = two_views([&[0.4], &[0.6]], &[0], &[4], at(2, 0), &device);

    // Only the cross-entropy.
    let model = step(model(&device), &first);
    let w0 = WEIGHTS;
    let gradients = [(1.0, 0), (-2.0, 1)].map(|sample| (0.5, of_label(w0, sample)));
    let w1 = descend(w0, &gradients);
    assert_close(model.student.weights(), w1);

    // One current sample and two of the last batch in their other view: a mean over three.
    let model = step(model, &second);
    let labels = [(2.0, 1), (3.0, 0), (0.5, 1)].map(|sample| (1.0 / 3.0, of_label(w1, sample)));
    let past = [(3.0, times(w0, 1.0)), (0.5, times(w0, -2.0))]
        .map(|(input, past)| (0.5, of_past(w1, input, past)));
    let w2 = descend(w1, &[labels.as_slice(), &past].concat());
    assert_close(model.student.weights(), w2);

    // Across epochs; the past logits are those with the weights before the step.
    let model = step(model, &third);
    let labels = [(0.4, 0), (-1.0, 1)].map(|sample| (0.5, of_label(w2, sample)));
    let past = [(1.0, of_past(w2, -1.0, times(w1, 2.0)))];
    let w3 = descend(w2, &[labels.as_slice(), &past].concat());
    assert_close(model.student.weights(), w3);
}

#[test]
fn the_first_step_has_only_the_cross_entropy() {
    let device = Device::default().autodiff();
    let batch = two_views([&[1.0], &[3.0]], &[0], &[0], at(1, 0), &device);
    let names = |model: &LastBatch<TwoLogits, Soft>| {
        let output = TrainStep::step(model, batch.clone()).item;
        terms(&output.metrics).into_keys().collect::<Vec<_>>()
    };
    let model = model(&device);

    assert_eq!(names(&model), ["cross-entropy"]);
    assert_eq!(names(&model), ["cross-entropy", "soft-target"]);
}

#[test]
fn the_last_batch_is_saved_in_a_checkpoint() {
    let device = Device::default().autodiff();
    let first = two_views(
        [&[1.0, -2.0], &[3.0, 0.5]],
        &[0, 1],
        &[4, 7],
        at(1, 0),
        &device,
    );
    let next = two_views(
        [&[2.0, 0.1, 1.0], &[-1.0, 1.0, 0.0]],
        &[1, 1, 0],
        &[5, 8, 0],
        at(2, 0),
        &device,
    );
    // Fewer samples than the maximum, one of them unlabeled.
    let model = step(model(&device), &labeled(first, 1));

    let file = tempfile::tempdir().unwrap().path().join("model");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    model.clone().save_file(&file).unwrap();
    let restored = self::model(&device).load_file(&file);
    assert_eq!(tensors(&restored), tensors(&model));
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &next)));

    assert_eq!(a, b);
    // The stored batch has an influence.
    let other = step(self::model(&device), &next);
    assert_ne!(tensors(&other.student), a[..1]);
}

#[test]
fn both_batches_are_computed_separately_and_in_training_mode() {
    let device = Device::default().autodiff();
    let view = |factor: f32, batch: &Batch<Tensor<2>>| batch.view().clone().mul_scalar(factor);
    let first = samples(at(1, 0), &device);
    let first = Batch {
        views: vec![view(1.0, &first), view(2.0, &first)],
        ..first
    };
    let second = samples(at(1, 1), &device);
    let second = Batch {
        views: vec![view(-1.5, &second), view(7.0, &second)],
        ..second
    };
    let model = LastBatchDistiller::new(Counted::new(0.4, &device), 4, soft());
    model.student.asked();

    let model = step(model, &first);
    assert_eq!(model.student.asked(), (1, 0));
    let alone = Counted::new(0.4, &device).load_record(model.student.valid().into_record());
    let model = step(model, &second);
    assert_eq!(model.student.asked(), (2, 0));

    // The statistics are updated with the first view of this batch, then the second view of the
    // last one.
    alone.forward(second.views[0].clone());
    alone.forward(first.views[1].clone());
    assert_eq!(model.student.statistics(), alone.statistics());
}

#[test]
fn a_validation_has_only_the_cross_entropy_and_stores_nothing() {
    let device = Device::default().autodiff();
    let plain = device.clone().without_autodiff();
    let first = two_views([&[1.0], &[3.0]], &[0], &[0], at(1, 0), &device);
    let model = step(model(&device), &first);
    let before = tensors(&model);

    let batch = batch(
        &[1.0, 2.0, 3.0, 4.0, 5.0],
        &[0, 1, 2, 3, 4],
        at(1, 0),
        &plain,
    );
    let output = InferenceStep::step(&model.valid(), batch);

    let names: Vec<_> = terms(&output.metrics).into_keys().collect();
    assert_eq!(names, ["cross-entropy"]);
    assert_eq!(tensors(&model), before);
}

#[test]
fn unlabeled_samples_learn_only_from_past_predictions() {
    let device = Device::default().autodiff();
    for nothing in [true, false] {
        let unlabeled = |batch: Batch<Tensor<2>>| match nothing {
            true => Batch {
                targets: Targets::Unlabeled,
                ..batch
            },
            false => labeled(batch, 0),
        };
        let first = two_views([&[1.0], &[3.0]], &[0], &[0], at(1, 0), &device);
        let second = two_views([&[2.0], &[2.0]], &[0], &[1], at(1, 1), &device);

        let model = step(model(&device), &unlabeled(first));
        assert_close(model.student.weights(), WEIGHTS);
        let model = step(model, &unlabeled(second));

        let past = of_past(WEIGHTS, 3.0, WEIGHTS);
        assert_close(model.student.weights(), descend(WEIGHTS, &[(1.0, past)]));
    }
}

/// Ids and classes of samples, and the step.
type Seen = (Vec<usize>, Vec<i64>, usize);

/// An objective that records the samples in its context, and their labels.
#[derive(Module, Debug)]
struct Spy {
    #[module(skip)]
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Objective for Spy {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(["logits"]),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let (classes, _) = context.targets.class_labels().unwrap();
        let classes = classes.into_data().iter().collect();
        let seen = (context.ids.to_vec(), classes, context.clock.step());
        self.seen.lock().unwrap().push(seen);
        let logits = context.student.taps.expect("logits").into_vectors();
        let teacher = context.teacher.response.classes().unwrap();
        assert!(!teacher.is_autodiff(), "past predictions are constants");
        Terms::one("spy", logits.mean(), 0.0)
    }
}

#[test]
fn the_context_of_the_objective_is_that_of_the_last_batch() {
    let device = Device::default().autodiff();
    let spy = Spy {
        seen: Arc::default(),
    };
    let seen = spy.seen.clone();
    let model = LastBatchDistiller::new(TwoLogits::new(WEIGHTS, &device), 2, spy);
    let first = two_views(
        [&[1.0, -2.0], &[3.0, 0.5]],
        &[0, 1],
        &[4, 7],
        at(1, 0),
        &device,
    );
    let second = two_views([&[2.0], &[-1.0]], &[1], &[5], at(1, 1), &device);
    let third = two_views([&[2.0], &[-1.0]], &[1], &[9], at(2, 0), &device);

    let model = step(step(model, &first), &second);
    step(model, &third);

    let expected = [(vec![4, 7], vec![0, 1], 1), (vec![5], vec![1], 2)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
#[should_panic(expected = "The last batch may have at most 3 samples, but this one has 4")]
fn a_batch_above_the_maximum_size_is_refused() {
    let device = Device::default().autodiff();
    let inputs = [1.0, 2.0, 3.0, 4.0];
    step(
        model(&device),
        &batch(&inputs, &[0, 1, 2, 3], at(1, 0), &device),
    );
}

#[test]
#[should_panic(expected = "Only responses are stored of the last batch")]
fn an_objective_on_taps_of_the_last_batch_is_refused() {
    #[derive(Module, Debug)]
    struct Taps {}

    impl Objective for Taps {
        fn requirements(&self) -> Requirements {
            Requirements {
                teacher: TapSelection::named(["logits"]),
                ..Requirements::default()
            }
        }

        fn forward(&self, _: &Context<'_>) -> Terms {
            unreachable!()
        }
    }

    LastBatchDistiller::new(TwoLogits::new(WEIGHTS, &Device::default()), 3, Taps {});
}

#[test]
#[should_panic(expected = "Self-distillation from the last batch trains on one device")]
fn several_devices_are_refused() {
    let device = Device::default().autodiff();
    model(&device).optimize_multi(&mut descent(), RATE.into(), Default::default());
}
