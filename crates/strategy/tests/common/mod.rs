//! A network of two parameters, whose every step can be computed by hand.
#![allow(dead_code, reason = "every test file uses its own part")]

use burn::module::{Module, Param};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_core::{
    Batch, Clock, CrossEntropyObjective, Knowledge, Network, Response, Tap, TapRecorder, Targets,
};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::OptimizerConfig;

/// Two logits: the input times one weight each.
#[derive(Module, Debug)]
pub struct Pair {
    pub weight: Param<Tensor<2>>,
}

impl Pair {
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

impl Network for Pair {
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

/// The cross-entropy with the labels, and soft targets at temperature 1.
pub fn hard_and_soft() -> (CrossEntropyObjective, ResponseObjective<SoftTargetLoss>) {
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    (
        CrossEntropyObjective::new(1.0),
        ResponseObjective::new(soft, 1.0),
    )
}

/// Samples of class 0, one for each input.
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

/// Plain gradient descent with a rate of 0.5.
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
