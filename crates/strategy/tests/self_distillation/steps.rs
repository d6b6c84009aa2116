//! Self-distillation, step by step.

use crate::common::{
    Counted, RATE, TwoLogits, assert_close, at, batch, descent, labels_and_soft_targets, samples,
    softmax, step,
};
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use burn::train::TrainStep;
use burn_distill_core::{
    Batch, ChangingWeight, CrossEntropyObjective, Frozen, Network, Targets, tensors,
};
use burn_distill_response::{ResponseObjective, SoftCrossEntropyLoss, SoftCrossEntropyLossConfig};
use burn_distill_strategy::{
    MeanTeacher, OfflineDistiller, PastPredictions, SameClass, SelfDistiller,
};

const WEIGHTS: [f64; 2] = [0.3, -0.2];

/// Returns a distiller of PS-KD over two epochs: `α` is 0.4, then 0.8.
fn progressive(
    device: &Device,
) -> SelfDistiller<
    TwoLogits,
    PastPredictions,
    (
        CrossEntropyObjective,
        ResponseObjective<SoftCrossEntropyLoss>,
    ),
> {
    let ramp = |from, to| ChangingWeight::Linear {
        from,
        to,
        epochs: 2,
    };
    let config = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
    let objective = (
        CrossEntropyObjective::new(ramp(1.0, 0.2)),
        ResponseObjective::new(config.init(), ramp(0.0, 0.8)),
    );
    let past = PastPredictions::new(4, 2, device);
    SelfDistiller::new(TwoLogits::new(WEIGHTS, device), past, objective)
}

/// Returns the weights after a step towards a target, on a sample with an input.
fn towards(weights: [f64; 2], target: [f64; 2], input: f64) -> [f64; 2] {
    let p = softmax(weights.map(|weight| weight * input));
    [0, 1].map(|class| weights[class] - RATE * (p[class] - target[class]) * input)
}

#[test]
fn the_target_moves_from_the_label_to_past_predictions() {
    let device = Device::default().autodiff();
    let model = progressive(&device);

    // The target of an unseen sample is its label.
    let model = step(model, &batch(&[1.0], &[2], at(1, 0), &device));
    let first = towards(WEIGHTS, [1.0, 0.0], 1.0);
    assert_close(model.student.weights(), first);

    // Another sample has no stored prediction.
    let model = step(model, &batch(&[2.0], &[0], at(1, 1), &device));
    let second = towards(first, [1.0, 0.0], 2.0);
    assert_close(model.student.weights(), second);

    // The first sample again: (1 − 0.8) label + 0.8 prediction before its step.
    let past = softmax(WEIGHTS);
    let target = [0.2 + 0.8 * past[0], 0.8 * past[1]];
    let model = step(model, &batch(&[1.0], &[2], at(2, 0), &device));
    assert_close(model.student.weights(), towards(second, target, 1.0));
}

#[test]
fn past_predictions_are_saved_in_a_checkpoint() {
    let device = Device::default().autodiff();
    let model = step(
        progressive(&device),
        &batch(&[1.0, -1.0], &[2, 3], at(1, 0), &device),
    );

    let restored = progressive(&device).load_record(model.clone().into_record());
    assert_eq!(tensors(&restored), tensors(&model));
    let next = batch(&[-1.0, 1.0], &[3, 2], at(2, 0), &device);
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &next)));

    assert_eq!(a, b);
}

#[test]
fn a_validation_stores_no_predictions() {
    let device = Device::default().autodiff();
    let model = progressive(&device);
    let before = tensors(&model);

    let plain = device.clone().without_autodiff();
    burn::train::InferenceStep::step(&model.valid(), batch(&[1.0], &[2], at(1, 0), &plain));

    assert_eq!(tensors(&model), before);
}

#[test]
fn samples_without_stored_predictions_or_labels_train() {
    let device = Device::default().autodiff();
    let unlabeled = |ids: &[usize]| {
        let batch = batch(&[1.0, 2.0], ids, at(2, 0), &device);
        let labeled = Tensor::<1, Bool>::from_data([true, false], &device);
        let (classes, _) = batch.targets.class_labels().unwrap();
        let targets = Targets::Classes {
            classes,
            labeled: Some(labeled),
        };
        Batch { targets, ..batch }
    };
    for ids in [[0, 1], [9, 12], [2, 2]] {
        let model = step(progressive(&device), &unlabeled(&ids));
        assert!(
            model
                .student
                .weights()
                .iter()
                .all(|weight| weight.is_finite())
        );
        let memory = model.teacher.memory.get();
        let rows = memory.sum_dim(1).into_data();
        let remembered = rows.iter::<f64>().filter(|sum| (sum - 1.0).abs() < 1e-5);
        let expected = ids.iter().filter(|&&id| id < 4);
        let expected: std::collections::BTreeSet<_> = expected.collect();
        assert_eq!(remembered.count(), expected.len(), "{ids:?}");
    }
}

#[test]
fn the_prediction_for_another_sample_of_the_class_is_a_constant_target() {
    let device = Device::default().autodiff();
    let one = batch(&[1.0], &[0], at(1, 0), &device);
    let pair = Batch {
        views: vec![one.view().clone(), Tensor::from_data([[3.0]], &device)],
        ..one
    };
    let model = SelfDistiller::new(
        TwoLogits::new(WEIGHTS, &device),
        SameClass::default(),
        labels_and_soft_targets(),
    );

    let stepped = step(model, &pair);

    let (p, q) = (
        softmax(WEIGHTS),
        softmax(WEIGHTS.map(|weight| 3.0 * weight)),
    );
    let gradient = [0, 1].map(|class| {
        let label = if class == 0 { 1.0 } else { 0.0 };
        (p[class] - label) + (p[class] - q[class])
    });
    let expected = [0, 1].map(|class| WEIGHTS[class] - RATE * gradient[class]);
    assert_close(stepped.student.weights(), expected);
}

#[test]
fn another_sample_of_the_class_is_computed_second_and_in_training_mode() {
    let device = Device::default().autodiff();
    let one = samples(at(1, 0), &device);
    let partners = one.view().clone().mul_scalar(3.0).add_scalar(1.0);
    let pairs = Batch {
        views: vec![one.view().clone(), partners],
        ..one
    };
    let student = Counted::new(0.4, &device);
    student.asked();
    let model = SelfDistiller::new(student, SameClass::default(), labels_and_soft_targets());

    let stepped = step(model, &pairs);

    assert_eq!(stepped.student.asked(), (2, 0));
    // The running statistics are updated twice, each time with one view.
    let moved = |views: &[usize]| {
        let twin = Counted::new(0.4, &device);
        for &view in views {
            twin.forward(pairs.views[view].clone());
        }
        twin.statistics()
    };
    assert_eq!(stepped.student.statistics(), moved(&[0, 1]));
    for other in [&[1, 0][..], &[0], &[1]] {
        assert_ne!(moved(&[0, 1]), moved(other), "{other:?}");
    }

    let plain = device.without_autodiff();
    let pairs = samples(at(1, 0), &plain);
    let valid = stepped.valid();
    let before = tensors(&valid.valid());
    burn::train::InferenceStep::step(&valid, pairs);
    assert_eq!(stepped.student.asked(), (0, 2), "a validation is one");
    assert_eq!(tensors(&valid.valid()), before);
}

#[test]
fn a_generation_learns_only_from_the_predictions_of_the_previous_one() {
    let device = Device::default().autodiff();
    let labeled = batch(&[1.0], &[0], at(1, 0), &device);
    let first = OfflineDistiller::without_teacher(
        TwoLogits::new(WEIGHTS, &device),
        CrossEntropyObjective::new(1.0),
    );
    let first = step(first, &labeled).student;
    let first_weights = towards(WEIGHTS, [1.0, 0.0], 1.0);
    assert_close(first.weights(), first_weights);

    // From other weights, on another sample, and with another label.
    let soft = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
    let born_again = ResponseObjective::new(soft.init(), 1.0);
    let other = [-0.4, 0.9];
    let student = TwoLogits::new(other, &device);
    let model = OfflineDistiller::new(student, Frozen::new(first), born_again);
    let next = batch(&[2.0], &[1], at(1, 0), &device);
    let next = Batch {
        targets: Targets::classes(Tensor::from_data([1], &device)),
        ..next
    };
    let stepped = step(model, &next);

    let target = softmax(first_weights.map(|weight| 2.0 * weight));
    assert_close(stepped.student.weights(), towards(other, target, 2.0));
    assert_close(stepped.teacher.inner().weights(), first_weights);
}

#[test]
fn the_mean_teacher_is_a_plain_mean_at_first_and_a_moving_average_later() {
    let device = Device::default().autodiff();
    let student = TwoLogits::new(WEIGHTS, &device);
    let teacher = MeanTeacher::new(&student, 0.6);
    let mut model = SelfDistiller::new(student, teacher, labels_and_soft_targets());

    let mut average = WEIGHTS;
    for index in 0..4 {
        let clock = at(1 + index / 2, index % 2);
        model = step(model, &batch(&[1.0], &[0], clock, &device));
        let step = index as f64 + 1.0;
        let decay = (1.0 - 1.0 / (step + 1.0)).min(0.6);
        let now = model.student.weights();
        average = [0, 1].map(|i| decay * average[i] + (1.0 - decay) * now[i]);
        assert_close(model.teacher.average.inner().weights(), average);
    }

    // The student is compared with the teacher.
    let next = batch(&[1.0], &[0], at(3, 0), &device);
    let (p, q) = (softmax(model.student.weights()), softmax(average));
    let before = model.student.weights();
    let stepped = step(model, &next);
    let expected = [0, 1].map(|class| {
        let label = if class == 0 { 1.0 } else { 0.0 };
        before[class] - RATE * ((p[class] - label) + (p[class] - q[class]))
    });
    assert_close(stepped.student.weights(), expected);
}

#[test]
fn the_average_is_saved_in_a_checkpoint() {
    let device = Device::default().autodiff();
    let build = || {
        let student = TwoLogits::new(WEIGHTS, &device);
        let teacher = MeanTeacher::new(&student, 0.9);
        SelfDistiller::new(student, teacher, labels_and_soft_targets())
    };
    let first = batch(&[1.0], &[0], at(1, 0), &device);
    let model = step(
        step(build(), &first),
        &batch(&[0.5], &[1], at(1, 1), &device),
    );

    let restored = build().load_record(model.clone().into_record());
    assert_eq!(tensors(&restored), tensors(&model));
    let next = batch(&[2.0], &[0], at(2, 0), &device);
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &next)));

    assert_eq!(a, b);
}

#[test]
#[should_panic(expected = "Self-distillation trains on one device")]
fn several_devices_are_refused() {
    let device = Device::default().autodiff();
    progressive(&device).optimize_multi(&mut descent(), RATE.into(), Default::default());
}
