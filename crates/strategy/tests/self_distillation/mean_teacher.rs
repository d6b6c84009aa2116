//! Mean teacher: the average in training mode, and the weight of few labels.

use crate::common::{
    Counted, RATE, TwoLogits, assert_close, at, batch, labeled, samples, softmax, step,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::InferenceStep;
use burn_distill_core::{
    Batch, ChangingWeight, CrossEntropyObjective, LossDenominator, Network, tensors,
};
use burn_distill_response::{
    ProbabilityMatchingLoss, ProbabilityMatchingLossConfig, ResponseObjective,
};
use burn_distill_strategy::{MeanTeacher, SelfDistiller};

type Consistency = (
    CrossEntropyObjective,
    ResponseObjective<ProbabilityMatchingLoss>,
);

fn consistency(weight: f64) -> Consistency {
    let loss = ProbabilityMatchingLossConfig::new().init();
    (
        CrossEntropyObjective::new(1.0).with_denominator(LossDenominator::All),
        ResponseObjective::new(loss, weight),
    )
}

fn in_training_mode(device: &Device) -> SelfDistiller<Counted, MeanTeacher<Counted>, Consistency> {
    let student = Counted::new(0.4, device);
    let teacher = MeanTeacher::new(&student, 0.6).with_training_mode(true);
    SelfDistiller::new(student, teacher, consistency(10.0))
}

/// Returns four samples with two views each, half of them labeled.
fn two_views(epoch: usize, device: &Device) -> Batch<Tensor<2>> {
    let one = samples(at(epoch, 0), device);
    let view = |factor: f32| one.view().clone().mul_scalar(factor).add_scalar(factor);
    let views = vec![view(1.0), view(0.2 + 0.3 * epoch as f32)];
    labeled(Batch { views, ..one }, 2)
}

#[test]
fn in_training_mode_the_average_has_separate_running_statistics() {
    let device = Device::default().autodiff();
    let mut model = in_training_mode(&device);
    let student = Counted::new(0.4, &device);
    let twin = Counted::new(0.4, &device);
    let counted = model.student.clone();
    counted.asked();
    for epoch in 1..4 {
        let batch = two_views(epoch, &device);
        // The running statistics are of the inputs times the weights of the average.
        let mut seen = twin.clone();
        seen.weight = model.teacher.average.inner().weight.clone();
        seen.forward(batch.views[1].clone());
        let mut seen = student.clone();
        seen.weight = model.student.weight.clone();
        seen.forward(batch.views[0].clone());

        model = step(model, &batch);

        // Both networks in training mode.
        assert_eq!(counted.asked(), (2, 0));
        let statistics = model.teacher.average.inner().statistics();
        assert_eq!(statistics, twin.statistics());
        assert_eq!(model.student.statistics(), student.statistics());
        assert_ne!(statistics, model.student.statistics());
    }

    let plain = device.without_autodiff();
    let valid = model.valid();
    let before = tensors(&model.valid());
    InferenceStep::step(&valid, two_views(1, &plain));
    assert_eq!(counted.asked(), (0, 2), "a validation is one");
    assert_eq!(tensors(&model.valid()), before);
}

#[test]
fn statistics_of_the_average_are_saved_in_a_checkpoint() {
    let device = Device::default().autodiff();
    let model = step(in_training_mode(&device), &two_views(1, &device));
    let model = step(model, &two_views(2, &device)).valid().train();

    let restored = in_training_mode(&device).load_record(model.clone().into_record());
    assert_eq!(tensors(&restored), tensors(&model));
    let next = two_views(3, &device);
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &next).valid()));

    assert_eq!(a, b);
}

#[test]
fn the_cross_entropy_can_be_divided_by_all_samples() {
    let device = Device::default().autodiff();
    let weights = [0.3, -0.2];
    let student = TwoLogits::new(weights, &device);
    // An average with other weights.
    let teacher = MeanTeacher::new(&TwoLogits::new([1.0, 0.5], &device), 0.999);
    let model = SelfDistiller::new(student, teacher, consistency(2.0));
    let samples = batch(&[1.0, -2.0, 0.5, 3.0], &[0, 1, 2, 3], at(1, 0), &device);

    let stepped = step(model, &labeled(samples, 1));

    let inputs = [1.0, -2.0, 0.5, 3.0];
    let mut gradient = [0.0; 2];
    for (index, input) in inputs.into_iter().enumerate() {
        let p = softmax(weights.map(|weight| weight * input));
        let q = softmax([1.0 * input, 0.5 * input]);
        // d/dz of ½ Σ (p − q)²: with two classes, both differences are equal except for the sign.
        let pull = 2.0 * (p[0] - q[0]) * p[0] * p[1];
        let label = if index == 0 { p[0] - 1.0 } else { 0.0 };
        let by = (label + 2.0 * pull) * input / 4.0;
        gradient = [gradient[0] + by, gradient[1] - by];
    }
    let expected = [0, 1].map(|k| weights[k] - RATE * gradient[k]);
    assert_close(stepped.student.weights(), expected);
}

#[test]
fn an_average_with_other_initial_weights_keeps_a_share_of_them() {
    let device = Device::default().autodiff();
    let student = TwoLogits::new([0.3, -0.2], &device);
    let own = [5.0, -7.0];
    let teacher = MeanTeacher::new(&TwoLogits::new(own, &device), 0.8);
    let mut model = SelfDistiller::new(student, teacher, CrossEntropyObjective::new(1.0));
    let mut average = own;
    for (batch_of, decay) in [(0, 1.0 / 2.0), (1, 2.0 / 3.0), (2, 3.0 / 4.0), (3, 0.8)] {
        let clock = at(1 + batch_of / 2, batch_of % 2);
        model = step(model, &batch(&[1.0], &[0], clock, &device));

        // Steps are counted from 1: min(1 − 1 / (n + 1), 0.8).
        let now = model.student.weights();
        average = [0, 1].map(|k| decay * average[k] + (1.0 - decay) * now[k]);
        assert_close(model.teacher.average.inner().weights(), average);
    }
}

#[test]
fn the_decay_may_change_and_start_without_a_warm_up() {
    let device = Device::default().autodiff();
    let student = TwoLogits::new([0.3, -0.2], &device);
    let decay = ChangingWeight::Linear {
        from: 0.0,
        to: 0.5,
        epochs: 2,
    };
    let teacher = MeanTeacher::new(&student, decay).with_warm_up(false);
    let mut model = SelfDistiller::new(student, teacher, CrossEntropyObjective::new(1.0));
    let mut average = [0.3, -0.2];
    for (epoch, decay) in [(1, 0.25), (2, 0.5), (3, 0.5)] {
        model = step(model, &batch(&[1.0], &[0], at(epoch, 0), &device));
        let now = model.student.weights();
        average = [0, 1].map(|k| decay * average[k] + (1.0 - decay) * now[k]);
        assert_close(model.teacher.average.inner().weights(), average);
    }
}

#[test]
#[should_panic(expected = "`decay` should be from 0 to 1, but is 1.5")]
fn a_decay_above_one_is_refused() {
    MeanTeacher::new(&TwoLogits::new([0.0, 0.0], &Device::default()), 1.5);
}
