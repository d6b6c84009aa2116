//! Self-distillation by dropout, computed by hand.

use crate::common::{
    RATE, TwoLogits, at, batch, cross_entropy, labeled, slope, softmax, step, terms, values,
};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn::train::InferenceStep;
use burn_distill_core::{
    Clock, CrossEntropyObjective, KeyedRng, Network, Response, Tap, TapRecorder, WeightSchedule,
    tensors,
};
use burn_distill_strategy::{Distillation, DropoutDistiller, DropoutDistillerConfig};

/// Four features of an input, and two logits of these.
#[derive(Module, Debug)]
struct Small {
    trunk: Param<Tensor<2>>,
    fc: Linear,
}

const FEATURES: usize = 4;
const COUNT: usize = 3 * FEATURES + 2;
/// The trunk, the classifier and its bias.
const START: [f64; COUNT] = [
    0.7, -0.4, 0.9, -1.2, 0.3, -0.9, 0.5, 0.6, -1.0, 0.5, 0.2, 0.9, 0.1, -0.3,
];

impl Small {
    fn new(device: &Device) -> Self {
        let row = |range: std::ops::Range<usize>| Tensor::<1>::from_data(&START[range], device);
        let mut fc = LinearConfig::new(FEATURES, 2).init(device);
        fc.weight = Param::from_tensor(row(4..12).reshape([FEATURES, 2]));
        fc.bias = Some(Param::from_tensor(row(12..14)));
        Self {
            trunk: Param::from_tensor(row(0..4).reshape([1, FEATURES])),
            fc,
        }
    }

    fn parameters(&self) -> [f64; COUNT] {
        let mut all = values(self.trunk.val());
        all.extend(values(self.fc.weight.val()));
        all.extend(values(self.fc.bias.as_ref().unwrap().val()));
        all.try_into().unwrap()
    }
}

impl Network for Small {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let features = input.matmul(self.trunk.val());
        taps.offer("pool", || Tap::Vector(features.clone()));
        Response::Classes(self.fc.forward(features))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 1], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.fc.clone())
    }
}

const SEED: u64 = 7;
const INPUTS: [f64; 3] = [1.0, -0.5, 0.8];
const TEMPERATURE: f64 = 3.0;
const WEIGHT: f64 = 0.4;

fn config() -> DropoutDistillerConfig {
    DropoutDistillerConfig::new()
        .with_weight(WeightSchedule::Constant(WEIGHT))
        .with_seed(SEED)
}

fn model(
    config: &DropoutDistillerConfig,
    device: &Device,
) -> DropoutDistiller<Small, CrossEntropyObjective> {
    config.init(Small::new(device), CrossEntropyObjective::new(1.0))
}

/// Returns the factors of the features of each sample, for the first prediction and for the second.
fn masks(clock: Clock, probability: f64) -> [[[f64; FEATURES]; 3]; 2] {
    [0, 1].map(|which| {
        // The last word is the purpose, which differs from that of other random numbers with the
        // seed.
        let mut rng = KeyedRng::new([SEED, clock.step() as u64, which, 0x5344_4452]);
        let mut draw = || match rng.chance(probability) {
            true => 0.0,
            false => 1.0 / (1.0 - probability),
        };
        [(); 3].map(|()| std::array::from_fn(|_| draw()))
    })
}

fn logits(p: &[f64; COUNT], input: f64, mask: [f64; FEATURES]) -> [f64; 2] {
    [0, 1].map(|class| {
        let parts = (0..FEATURES).map(|k| p[k] * input * mask[k] * p[4 + 2 * k + class]);
        parts.sum::<f64>() + p[12 + class]
    })
}

/// Computes the divergence without its weight; the targets are computed with separate parameters.
fn divergence(p: &[f64; COUNT], targets: &[f64; COUNT], masks: &[[[f64; FEATURES]; 3]; 2]) -> f64 {
    let mut sum = 0.0;
    for (index, &input) in INPUTS.iter().enumerate() {
        let answer = |p: &[f64; COUNT], which: usize| {
            let logits = logits(p, input, masks[which][index]);
            softmax(logits.map(|logit| logit / TEMPERATURE))
        };
        for (prediction, target) in [(0, 1), (1, 0)] {
            let (q, t) = (answer(p, prediction), answer(targets, target));
            sum += (0..2).map(|k| t[k] * (t[k].ln() - q[k].ln())).sum::<f64>();
        }
    }
    sum * TEMPERATURE.powi(2) / INPUTS.len() as f64
}

fn hard(p: &[f64; COUNT]) -> f64 {
    let all = INPUTS.map(|input| cross_entropy(logits(p, input, [1.0; FEATURES]), [1.0, 0.0]));
    all.iter().sum::<f64>() / INPUTS.len() as f64
}

fn samples(clock: Clock, device: &Device) -> burn_distill_core::Batch<Tensor<2>> {
    batch(&INPUTS.map(|input| input as f32), &[0, 1, 2], clock, device)
}

#[test]
fn a_step_agrees_with_one_computed_by_hand() {
    let device = Device::default().autodiff();
    let clock = at(2, 1);
    for (detach, probability) in [(false, 0.5), (true, 0.5), (false, 0.25)] {
        let config = config().with_detach(detach).with_probability(probability);
        let model = model(&config, &device);
        let masks = masks(clock, probability);
        assert_ne!(masks[0], masks[1]);

        let shown = terms(&model.forward(&samples(clock, &device)).metrics);
        let expected = divergence(&START, &START, &masks);
        assert!(expected > 0.01 && (shown["dropout"] - expected).abs() < 1e-5);

        let stepped = step(model, &samples(clock, &device)).student.parameters();
        let loss = |p: [f64; COUNT]| {
            let targets = if detach { START } else { p };
            hard(&p) + WEIGHT * divergence(&p, &targets, &masks)
        };
        let gradient = slope(loss, START);
        for (index, after) in stepped.iter().enumerate() {
            let expected = START[index] - RATE * gradient[index];
            assert!(
                (after - expected).abs() < 1e-5,
                "{index}: {after} is not {expected}"
            );
        }
    }
}

#[test]
fn masks_depend_only_on_the_seed_and_the_step() {
    let device = Device::default().autodiff();
    let term = |config: DropoutDistillerConfig, clock: Clock| {
        let output = model(&config, &device).forward(&samples(clock, &device));
        terms(&output.metrics)["dropout"]
    };

    let first = term(config(), at(1, 0));
    assert_eq!(term(config(), at(1, 0)), first);
    assert_ne!(term(config(), at(1, 1)), first);
    assert_ne!(term(config(), at(2, 0)), first);
    assert_ne!(term(config().with_seed(8), at(1, 0)), first);
}

#[test]
fn a_probability_of_zero_has_a_term_of_zero() {
    let device = Device::default().autodiff();
    let batch = samples(at(1, 0), &device);
    let model = model(&config().with_probability(0.0), &device);

    assert!(terms(&model.forward(&batch).metrics)["dropout"].abs() < 1e-6);
    let stepped = step(model, &batch).student.parameters();
    let gradient = slope(|p| hard(&p), START);
    for (index, after) in stepped.iter().enumerate() {
        assert!((after - (START[index] - RATE * gradient[index])).abs() < 1e-5);
    }
}

#[test]
fn validation_drops_nothing() {
    let device = Device::default().autodiff();
    let plain = device.clone().without_autodiff();
    let model = model(&config(), &device);
    let before = tensors(&model);

    let output = InferenceStep::step(&model.valid(), samples(at(1, 0), &plain));

    let shown = terms(&output.metrics);
    assert_eq!(shown["dropout"], 0.0);
    assert!((shown["cross-entropy"] - hard(&START)).abs() < 1e-6);
    assert_eq!(tensors(&model), before);
}

#[test]
fn one_sample_and_unlabeled_samples_train() {
    let device = Device::default().autodiff();
    let one = batch(&[1.0], &[0], at(1, 0), &device);
    for batch in [one.clone(), labeled(one, 0)] {
        let model = step(model(&config(), &device), &batch);
        let parameters = model.student.parameters();
        assert!(parameters.iter().all(|value| value.is_finite()));
        assert_ne!(parameters, START);
    }
}

#[test]
fn a_step_after_loading_equals_one_without() {
    let device = Device::default().autodiff();
    let model = step(model(&config(), &device), &samples(at(1, 0), &device));

    let restored = self::model(&config(), &device).load_record(model.clone().into_record());
    let next = samples(at(1, 1), &device);
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &next)));
    assert_eq!(a, b);
}

#[test]
#[should_panic(expected = "Distillation by dropout needs the classifier of the network")]
fn a_network_without_a_classifier_is_refused() {
    let config = config().with_tap("logits".into());
    config.init(
        TwoLogits::new([0.3, -0.2], &Device::default()),
        CrossEntropyObjective::new(1.0),
    );
}

#[test]
#[should_panic(expected = "`probability` should be from 0 and below 1, but is 1")]
fn a_probability_of_one_is_refused() {
    model(&config().with_probability(1.0), &Device::default());
}

#[test]
fn networks_that_do_not_fit_are_errors() {
    let device = Device::default();
    let small = Small::new(&device);
    assert!(config().fit(&small).is_ok());

    let error = config().with_tap("pol".into()).fit(&small).unwrap_err();
    assert!(error.to_string().contains("no tap named `pol`"), "{error}");
    let without = TwoLogits::new([0.3, -0.2], &device);
    let error = config().with_tap("logits".into()).fit(&without);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("`Network::classifier` returns none"),
        "{error}"
    );
}
