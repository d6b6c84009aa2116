//! Networks and batches that several test programs use, and values of a step.
//!
//! [`TwoLogits`] has two parameters, so that every step can be computed by hand. [`Counted`] counts
//! its forward passes. The networks of [`digits`] train on images.
#![allow(dead_code, reason = "every test program uses a part")]

pub mod digits;

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bool, Device, Tensor};
use burn::train::{Interrupter, TrainStep};
use burn_distill_core::{
    Batch, Clock, CrossEntropyObjective, Knowledge, Network, Response, Tap, TapRecorder, Targets,
};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::{
    EpochDisplay, EpochMetrics, OptimizerConfig, StepMetrics, TrainingTitle,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A linear layer without bias, from one input to two logits.
#[derive(Module, Debug)]
pub struct TwoLogits {
    pub weight: Param<Tensor<2>>,
}

impl TwoLogits {
    pub fn new(weights: [f64; 2], device: &Device) -> Self {
        let weight = Tensor::from_data([weights], device);
        Self {
            weight: Param::from_tensor(weight),
        }
    }

    pub fn weights(&self) -> [f64; 2] {
        let values: Vec<f64> = self.weight.val().into_data().iter().collect();
        [values[0], values[1]]
    }
}

impl Network for TwoLogits {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let logits = input.matmul(self.weight.val());
        taps.offer("logits", || Tap::Vector(logits.clone()));
        Response::Classes(logits)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 1], device)
    }
}

/// Returns the cross-entropy with the labels and soft targets at temperature 1.
pub fn labels_and_soft_targets() -> (CrossEntropyObjective, ResponseObjective<SoftTargetLoss>) {
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    (
        CrossEntropyObjective::new(1.0),
        ResponseObjective::new(soft, 1.0),
    )
}

/// Returns samples of class 0, one for each input.
pub fn batch(inputs: &[f32], ids: &[usize], clock: Clock, device: &Device) -> Batch<Tensor<2>> {
    let rows = Tensor::<1>::from_data(inputs, device).reshape([inputs.len(), 1]);
    Batch {
        views: vec![rows],
        targets: Targets::classes(Tensor::zeros([inputs.len()], device)),
        ids: ids.to_vec(),
        clock,
    }
}

pub fn at(epoch: usize, batch: usize) -> Clock {
    Clock {
        epoch,
        batch,
        batches: 2,
    }
}

/// Takes a step of gradient descent with a rate of 0.5.
pub fn step<M>(model: M, batch: &Batch<Tensor<2>>) -> M
where
    M: Module + TrainStep<Input = Batch<Tensor<2>>>,
{
    let mut optimizer = descent();
    let output = TrainStep::step(&model, batch.clone());
    model.optimize(&mut optimizer, RATE.into(), output.grads)
}

pub const RATE: f64 = 0.5;

pub fn descent() -> ModuleOptimizer {
    OptimizerConfig::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        clip_norm: None,
    }
    .init()
}

pub fn softmax([a, b]: [f64; 2]) -> [f64; 2] {
    let (a, b) = (a.exp(), b.exp());
    [a / (a + b), b / (a + b)]
}

pub fn assert_close(actual: [f64; 2], expected: [f64; 2]) {
    for (actual, expected) in actual.into_iter().zip(expected) {
        assert!(
            (actual - expected).abs() < 1e-5,
            "{actual} is not {expected}"
        );
    }
}

pub fn logits(knowledge: &Knowledge) -> Tensor<2> {
    knowledge.response.classes().unwrap().clone()
}

/// A network of three logits of two inputs, normalized over the batch, which counts its forward
/// passes.
#[derive(Module, Debug)]
pub struct Counted {
    pub weight: Param<Tensor<2>>,
    pub norm: BatchNorm,
    #[module(skip)]
    pub training: Arc<AtomicUsize>,
    #[module(skip)]
    pub validation: Arc<AtomicUsize>,
}

impl Counted {
    /// Creates a network with weights that depend only on `seed`.
    pub fn new(seed: f32, device: &Device) -> Self {
        let values: Vec<f32> = (0..6).map(|i| (seed + 1.3 * i as f32).sin()).collect();
        let weight = Tensor::<1>::from_data(values.as_slice(), device).reshape([2, 3]);
        Self {
            weight: Param::from_tensor(weight),
            norm: BatchNormConfig::new(3).init(device),
            training: Arc::default(),
            validation: Arc::default(),
        }
    }

    /// Returns the number of passes in training and in validation mode since the last call.
    pub fn asked(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(&self.training), take(&self.validation))
    }

    pub fn statistics(&self) -> Vec<f32> {
        let mean = self.norm.valid().running_mean.value();
        mean.into_data().try_to_vec().unwrap()
    }
}

impl Network for Counted {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let count = match input.device().is_autodiff() {
            true => &self.training,
            false => &self.validation,
        };
        count.fetch_add(1, Ordering::SeqCst);
        let logits = self.norm.forward(input.matmul(self.weight.val()));
        taps.offer("pool", || Tap::Vector(logits.clone()));
        Response::Classes(logits)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 2], device)
    }
}

/// Returns four samples of two inputs, and of three classes.
pub fn samples(clock: Clock, device: &Device) -> Batch<Tensor<2>> {
    let inputs = [[1.0, -0.5], [0.2, 0.9], [-0.7, 0.3], [0.4, 1.1]];
    Batch {
        views: vec![Tensor::from_data(inputs, device)],
        targets: Targets::classes(Tensor::from_data([0, 1, 2, 1], device)),
        ids: (0..4).collect(),
        clock,
    }
}

/// Returns a batch in which only the first `count` samples are labeled.
pub fn labeled(batch: Batch<Tensor<2>>, count: usize) -> Batch<Tensor<2>> {
    let (classes, _) = batch.targets.class_labels().unwrap();
    let mask: Vec<bool> = (0..batch.len()).map(|i| i < count).collect();
    let mask = Tensor::<1, Bool>::from_data(mask.as_slice(), &classes.device());
    let targets = Targets::Classes {
        classes,
        labeled: Some(mask),
    };
    Batch { targets, ..batch }
}

pub fn terms(metrics: &StepMetrics) -> BTreeMap<String, f64> {
    let values = StepMetrics::read(std::slice::from_ref(metrics)).unwrap();
    values[0].terms.iter().cloned().collect()
}

/// Computes the gradient of a function of several numbers by central differences.
pub fn slope<const N: usize>(of: impl Fn([f64; N]) -> f64, at: [f64; N]) -> [f64; N] {
    const APART: f64 = 1e-5;
    std::array::from_fn(|i| {
        let moved = |by: f64| {
            let mut at = at;
            at[i] += by;
            of(at)
        };
        (moved(APART) - moved(-APART)) / (2.0 * APART)
    })
}

pub fn cross_entropy(logits: [f64; 2], target: [f64; 2]) -> f64 {
    let p = softmax(logits);
    -(target[0] * p[0].ln() + target[1] * p[1].ln())
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

/// A display that shows nothing, and stops the training when this number of epochs has ended.
pub struct StopAfter {
    pub epochs: usize,
    pub interrupter: Interrupter,
}

impl EpochDisplay for StopAfter {
    fn start(&mut self, _training: &TrainingTitle) {}

    fn epoch(&mut self, _epoch: usize, _metrics: &EpochMetrics) {
        self.epochs = self.epochs.saturating_sub(1);
        if self.epochs == 0 {
            self.interrupter.stop(Some("test"));
        }
    }
}
