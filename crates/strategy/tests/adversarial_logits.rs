//! A discriminator of logits and the student, which step in turns.

mod common;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use burn::train::{InferenceStep, TrainStep};
use burn_distill_architecture::LogitDiscriminator;
use burn_distill_core::{
    Batch, CrossEntropyObjective, EveryView, Frozen, Targets, parameter_count, tensors,
};
use burn_distill_response::{
    LogitMatchingLoss, LogitMatchingLossConfig, LogitMatchingVariant, ResponseObjective,
};
use burn_distill_strategy::{
    AdversarialLogitDistiller, AdversarialLogitDistillerConfig, OfflineDistiller, OptimizerConfig,
};
use common::*;

type Objective = (CrossEntropyObjective, ResponseObjective<LogitMatchingLoss>);
type Game<N> = AdversarialLogitDistiller<N, Frozen<N>, Objective>;

const STUDENT: [f64; 2] = [0.7, -0.4];
const TEACHER: [f64; 2] = [1.5, -1.1];

/// Number of parameters of a discriminator with two classes and two hidden units.
const PARAMETERS: usize = 21;

fn objective() -> Objective {
    let distance = LogitMatchingLossConfig::new()
        .with_variant(LogitMatchingVariant::AbsoluteSum)
        .init();
    (
        CrossEntropyObjective::new(1.0),
        ResponseObjective::new(distance, 0.3),
    )
}

fn config() -> AdversarialLogitDistillerConfig {
    AdversarialLogitDistillerConfig::new()
        .with_d_hidden(2)
        .with_learning_rate(0.02)
        .with_weight_decay(0.1)
        .with_weight(0.8)
        .with_auxiliary(0.5)
}

fn game(device: &Device) -> Game<TwoLogits> {
    let teacher = Frozen::new(TwoLogits::new(TEACHER, device));
    let student = TwoLogits::new(STUDENT, device);
    let mut game = config().init((student, teacher), objective(), 2, device);
    // Weights that do not depend on the generator, which the tests of a process share.
    fill(&mut game.discriminator);
    game
}

fn fill(discriminator: &mut LogitDiscriminator) {
    fn filled<const D: usize>(param: &Param<Tensor<D>>, offset: f64) -> Param<Tensor<D>> {
        let tensor = param.val();
        let count = tensor.shape().num_elements();
        let values: Vec<f64> = (0..count)
            .map(|i| 0.9 * (offset + 1.7 * i as f64).sin())
            .collect();
        let values = Tensor::<1>::from_data(values.as_slice(), &tensor.device());
        Param::from_tensor(values.reshape(tensor.shape()))
    }

    let LogitDiscriminator {
        linear1,
        linear2,
        score,
        label,
    } = discriminator;
    for (offset, linear) in [linear1, linear2, score, label].into_iter().enumerate() {
        linear.weight = filled(&linear.weight, offset as f64 + 0.3);
        let bias = linear.bias.take();
        linear.bias = bias.map(|bias| filled(&bias, offset as f64 + 5.0));
    }
}

/// Returns the parameters of a discriminator, layer by layer.
fn judge(discriminator: &LogitDiscriminator) -> [f64; PARAMETERS] {
    let LogitDiscriminator {
        linear1,
        linear2,
        score,
        label,
    } = discriminator.valid();
    let layers = [linear1, linear2, score, label].into_iter();
    let all: Vec<f64> = layers
        .flat_map(|layer| {
            let bias = layer.bias.unwrap().val();
            [values(layer.weight.val()), values(bias)].concat()
        })
        .collect();
    all.try_into().unwrap()
}

/// Computes the outputs of a linear layer from two inputs, from the parameters at an offset.
fn linear(parameters: &[f64], input: [f64; 2], outputs: usize) -> Vec<f64> {
    let (weight, bias) = parameters.split_at(2 * outputs);
    (0..outputs)
        .map(|j| input[0] * weight[j] + input[1] * weight[outputs + j] + bias[j])
        .collect()
}

/// Computes the score and the class logits of a row.
fn verdict(judge: &[f64], logits: [f64; 2]) -> (f64, [f64; 2]) {
    let hidden = |parameters: &[f64], input| {
        let active = linear(parameters, input, 2).into_iter();
        let active: Vec<_> = active.map(|x| if x < 0.0 { 0.2 * x } else { x }).collect();
        [active[0], active[1]]
    };
    let second = hidden(&judge[6..12], hidden(&judge[..6], logits));
    let label = linear(&judge[15..], second, 2);
    (linear(&judge[12..15], second, 1)[0], [label[0], label[1]])
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<_> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn rows(weights: [f64; 2], inputs: &[f64]) -> Vec<[f64; 2]> {
    inputs.iter().map(|x| weights.map(|w| x * w)).collect()
}

/// Computes the loss of the discriminator, where the first samples are labeled with class 0.
fn discriminator_loss(judge: &[f64], student: [f64; 2], inputs: &[f64], labeled: usize) -> f64 {
    let side = |weights, sign: f64| {
        let verdicts: Vec<_> = rows(weights, inputs)
            .into_iter()
            .map(|row| verdict(judge, row))
            .collect();
        let scores = verdicts.iter().map(|(score, _)| softplus(sign * score));
        let classes = verdicts[..labeled].iter();
        let labels = classes.map(|(_, classes)| cross_entropy(*classes, [1.0, 0.0]));
        let labels: Vec<_> = labels.collect();
        mean(scores) + if labeled > 0 { 0.5 * mean(labels) } else { 0.0 }
    };
    side(TEACHER, -1.0) + side(student, 1.0)
}

/// Computes the adversarial term of the student.
fn adversarial(judge: &[f64], student: [f64; 2], inputs: &[f64]) -> f64 {
    let rows = rows(student, inputs).into_iter();
    mean(rows.map(|row| softplus(-verdict(judge, row).0)))
}

/// Computes the loss of the student.
fn student_loss(judge: &[f64], student: [f64; 2], inputs: &[f64], labeled: usize) -> f64 {
    let (own, other) = (rows(student, inputs), rows(TEACHER, inputs));
    let labels: Vec<_> = own[..labeled]
        .iter()
        .map(|row| cross_entropy(*row, [1.0, 0.0]))
        .collect();
    let labels = if labeled > 0 { mean(labels) } else { 0.0 };
    let pairs = own.iter().zip(&other);
    let distance = pairs.map(|(a, b)| (a[0] - b[0]).abs() + (a[1] - b[1]).abs());
    labels + 0.3 * mean(distance) + 0.8 * adversarial(judge, student, inputs)
}

/// A parameter of the discriminator with its moments of Adam.
#[derive(Clone, Copy, Default)]
struct Moments {
    first: f64,
    second: f64,
}

impl Moments {
    fn step(&mut self, step: i32, value: f64, gradient: f64) -> f64 {
        let gradient = gradient + 0.1 * value;
        self.first = 0.9 * self.first + 0.1 * gradient;
        self.second = 0.999 * self.second + 0.001 * gradient * gradient;
        let first = self.first / (1.0 - 0.9_f64.powi(step));
        let second = self.second / (1.0 - 0.999_f64.powi(step));
        value - 0.02 * first / (second.sqrt() + 1e-8)
    }
}

#[test]
fn steps_agree_with_those_computed_by_hand() {
    let device = Device::default().autodiff();
    // A full batch, one with unlabeled rows, one without any label, and one of a single sample.
    for (inputs, labels) in [
        (vec![1.0, -0.5, 0.3], 3),
        (vec![1.0, -0.5, 0.3], 1),
        (vec![1.0, -0.5, 0.3], 0),
        (vec![0.8], 1),
    ] {
        let of_inputs: Vec<f32> = inputs.iter().map(|&input: &f64| input as f32).collect();
        let ids: Vec<_> = (0..inputs.len()).collect();
        let mut batch = batch(&of_inputs, &ids, at(1, 0), &device);
        batch = match labels {
            0 => Batch {
                targets: Targets::Unlabeled,
                ..batch
            },
            count => labeled(batch, count),
        };
        let mut model = game(&device);
        let mut student = STUDENT;
        let mut parameters = judge(&model.discriminator);
        let mut moments = [Moments::default(); PARAMETERS];

        for time in 1..=3 {
            let output = TrainStep::step(&model, batch.clone());

            // First the discriminator, against the student before its step.
            let loss =
                |judge: [f64; PARAMETERS]| discriminator_loss(&judge, student, &inputs, labels);
            let shown = terms(&output.item.metrics);
            assert!((shown["discriminator"] - loss(parameters)).abs() < 1e-5);
            let gradient = slope(loss, parameters);
            for i in 0..PARAMETERS {
                parameters[i] = moments[i].step(time, parameters[i], gradient[i]);
            }
            // Then the student, against the discriminator after its step.
            let deceived = adversarial(&parameters, student, &inputs);
            assert!((shown["adversarial"] - deceived).abs() < 1e-5);
            let loss = student_loss(&parameters, student, &inputs, labels);
            assert!((output.item.loss.clone().into_scalar::<f64>() - loss).abs() < 1e-5);
            let gradient = slope(
                |student| student_loss(&parameters, student, &inputs, labels),
                student,
            );
            for (value, gradient) in student.iter_mut().zip(gradient) {
                *value -= RATE * gradient;
            }

            model = model.optimize(&mut descent(), RATE.into(), output.grads);
            assert_close(model.offline.student.weights(), student);
            for (actual, expected) in judge(&model.discriminator).iter().zip(parameters) {
                assert!(
                    (actual - expected).abs() < 2e-4,
                    "{labels} labels, step {time}: {actual} {expected}"
                );
            }
        }
        let teacher = model.offline.teacher.inner().weights();
        assert_eq!(teacher, TwoLogits::new(TEACHER, &device).weights());
    }
}

fn three(device: &Device) -> Batch<Tensor<2>> {
    batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), device)
}

#[test]
fn the_optimizer_of_the_training_does_not_change_the_discriminator() {
    let device = Device::default().autodiff();
    let after = |config: OptimizerConfig, rate: f64| {
        let model = game(&device);
        let output = TrainStep::step(&model, three(&device));
        let model = model.optimize(&mut config.init(), rate.into(), output.grads);
        (
            tensors(&model.discriminator),
            model.offline.student.weights(),
        )
    };
    let adam = OptimizerConfig::Adam {
        weight_decay: 0.3,
        clip_norm: None,
    };

    let (discriminator, student) = after(adam, 0.9);
    let (same, other) = after(OptimizerConfig::default(), 0.0);

    assert_eq!(discriminator, same);
    assert_ne!(student, other);
    assert_eq!(other, TwoLogits::new(STUDENT, &device).weights());
    assert_ne!(discriminator, tensors(&game(&device).discriminator));
}

#[test]
fn a_checkpoint_holds_the_discriminator_and_its_moments() {
    let device = Device::default().autodiff();
    let batch = three(&device);
    let model = step(step(game(&device), &batch), &batch).valid().train();

    let mut other = game(&device);
    other.offline.student = TwoLogits::new([0.1, 0.2], &device);
    let other = step(other, &batch);
    assert_ne!(tensors(&other.adam), tensors(&model.adam));
    let restored = other.load_record(model.clone().into_record());

    assert_eq!(tensors(&restored), tensors(&model));
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &batch).valid()));
    assert_eq!(a, b);
}

#[test]
fn a_validation_changes_nothing() {
    let device = Device::default().autodiff();
    let model = step(game(&device), &three(&device));
    let before = tensors(&model.valid());

    let valid = model.valid();
    let plain = three(&device.clone().without_autodiff());
    let shown = terms(&InferenceStep::step(&valid, plain).metrics);

    assert_eq!(tensors(&model.valid()), before);
    let names: Vec<_> = shown.keys().map(String::as_str).collect();
    let expected = [
        "adversarial",
        "cross-entropy",
        "discriminator",
        "logit-matching",
    ];
    assert_eq!(names, expected);
    let judge = judge(&model.discriminator);
    let student = model.offline.student.weights();
    let inputs = [1.0, -0.5, 0.3];
    let expected = discriminator_loss(&judge, student, &inputs, 3);
    assert!((shown["discriminator"] - expected).abs() < 1e-5);
    assert!((shown["adversarial"] - adversarial(&judge, student, &inputs)).abs() < 1e-5);
}

#[test]
fn a_saturated_discriminator_has_finite_losses_and_a_gradient_for_the_student() {
    let device = Device::default().autodiff();
    for scale in [1e4, 1e12] {
        let mut model = game(&device);
        let score = &mut model.discriminator.score;
        let weight = Tensor::<2>::from_data(score.weight.val().into_data(), &device);
        score.weight = Param::from_tensor(weight.mul_scalar(scale));

        let output = TrainStep::step(&model, three(&device));
        let shown = terms(&output.item.metrics);
        assert!(shown.values().all(|value| value.is_finite()), "{shown:?}");
        let model = model.optimize(&mut descent(), 1e-3.into(), output.grads);

        for (name, data) in tensors(&model.valid()) {
            assert!(data.iter::<f32>().all(f32::is_finite), "{name}");
        }
    }
}

#[test]
fn the_discriminator_is_no_part_of_the_student() {
    let device = Device::default().autodiff();
    let model = game(&device);

    assert_eq!(parameter_count(&model.offline.student), 2);
    assert_eq!(parameter_count(&model.discriminator), PARAMETERS);
    let plain = OfflineDistiller::new(
        TwoLogits::new(STUDENT, &device),
        Frozen::new(TwoLogits::new(TEACHER, &device)),
        objective(),
    );
    let output = TrainStep::step(&model, three(&device));
    let without = TrainStep::step(&plain, three(&device)).item.loss;
    let shown = terms(&output.item.metrics);
    let difference = output.item.loss.sub(without).into_scalar::<f64>();
    assert!((difference - 0.8 * shown["adversarial"]).abs() < 1e-5);
}

#[test]
fn running_statistics_of_the_student_are_updated_once_per_batch() {
    let device = Device::default().autodiff();
    let networks = || {
        let teacher = Frozen::new(Counted::new(2.0, &device));
        (Counted::new(1.0, &device), teacher)
    };
    let game = config().init(networks(), objective(), 3, &device);
    let (student, teacher) = networks();
    let plain = OfflineDistiller::new(student, teacher, objective());
    let batch = samples(at(1, 0), &device);

    TrainStep::step(&game, batch.clone());
    TrainStep::step(&plain, batch);

    assert_eq!(game.offline.student.asked(), (1, 0));
    assert_eq!(
        game.offline.student.statistics(),
        plain.student.statistics()
    );
}

#[test]
#[should_panic(expected = "An adversarial game needs a step of the optimizer for each batch")]
fn gradient_accumulation_is_refused() {
    let device = Device::default().autodiff();
    let model = game(&device);
    TrainStep::step(&model, three(&device));
    TrainStep::step(&model, three(&device));
}

#[test]
#[should_panic(expected = "should require 1 view, but this one requires 2")]
fn several_views_are_refused() {
    let device = Device::default();
    let networks = (
        TwoLogits::new(STUDENT, &device),
        Frozen::new(TwoLogits::new(TEACHER, &device)),
    );
    config().init(networks, EveryView::new(objective(), 2), 2, &device);
}

#[test]
#[should_panic(expected = "`learning_rate` should be above 0 and at most 1000, but is 0")]
fn a_learning_rate_of_zero_is_refused() {
    let device = Device::default();
    let networks = (
        TwoLogits::new(STUDENT, &device),
        Frozen::new(TwoLogits::new(TEACHER, &device)),
    );
    config()
        .with_learning_rate(0.0)
        .init(networks, objective(), 2, &device);
}
