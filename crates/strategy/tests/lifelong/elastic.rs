//! Elastic weight consolidation (EWC).

use crate::common::{RATE, TwoLogits, assert_close, at, batch, softmax, step, terms};
use crate::golden::{Batches, Golden, Net, assert_same, wave};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_core::{CrossEntropyObjective, gradient_vector, tensors};
use burn_distill_strategy::{
    ElasticDistiller, ElasticWeights, FisherConfig, FisherGradients, FisherLabels,
};

fn elastic(
    network: TwoLogits,
    weights: ElasticWeights,
    weight: f64,
) -> ElasticDistiller<TwoLogits, CrossEntropyObjective> {
    ElasticDistiller::new(network, CrossEntropyObjective::new(1.0), weights, weight)
}

#[test]
fn the_penalty_after_two_tasks_has_its_golden_value_and_gradient() {
    let device = Device::flex().autodiff();
    let (network, batches) = (Net::new(&device), Batches::new(&device));
    let weights = ElasticWeights::new(&network, ["output"]);
    let first = FisherConfig::new();
    let second = first
        .clone()
        .with_gradients(FisherGradients::PerSample)
        .with_labels(FisherLabels::Expected);
    for config in [first, second] {
        let information = config.compute(&network, &batches, weights.skipped());
        weights.consolidate(&network, information.unwrap(), 0.5);
    }
    // The values to keep are those of another network.
    let anchor = wave([31], [0.5, 0.2, 1.0], &device).narrow(0, 0, 16);
    weights.anchor.set(anchor);

    let penalty = weights.penalty(&network).mul_scalar(5000.0);

    let golden = Golden::of("elastic");
    assert_same(weights.importance.get(), &golden.numbers("importance"));
    assert_same(penalty.clone(), &[golden.number("penalty")]);
    let skips = |path: &str| path.starts_with("output");
    let gradient = gradient_vector(&network, &penalty.backward(), skips);
    assert_same(gradient, &golden.numbers("gradient"));
}

#[test]
fn a_step_adds_the_gradient_of_the_penalty() {
    let device = Device::default().autodiff();
    let [start, anchor, importance, weight] = [[0.4, -0.2], [0.1, 0.3], [0.5, 2.0], [0.2, 0.0]];
    let network = TwoLogits::new(start, &device);
    let weights = ElasticWeights::new(&network, [""; 0]);
    weights.anchor.set(Tensor::from_data(anchor, &device));
    weights
        .importance
        .set(Tensor::from_data(importance, &device));
    let distiller = elastic(network, weights, weight[0]);
    let batch = batch(&[1.5], &[0], at(1, 0), &device);

    let output = TrainStep::step(&distiller, batch.clone()).item;
    let stepped = step(distiller, &batch);

    let penalty: f64 = (0..2)
        .map(|i| 0.5 * importance[i] * (start[i] - anchor[i]).powi(2))
        .sum();
    assert!((terms(&output.metrics)["elastic-weights"] - penalty).abs() < 1e-6);
    let p = softmax(start.map(|weight| 1.5 * weight));
    let expected = [0, 1].map(|i| {
        let label = f64::from(i == 0);
        let penalty = weight[0] * importance[i] * (start[i] - anchor[i]);
        start[i] - RATE * (1.5 * (p[i] - label) + penalty)
    });
    assert_close(stepped.student.weights(), expected);
}

#[test]
fn importance_and_anchor_are_constants_that_a_record_restores() {
    let device = Device::default().autodiff();
    let network = || TwoLogits::new([0.4, -0.2], &device);
    let trained = elastic(network(), ElasticWeights::new(&network(), [""; 0]), 3.0);
    trained
        .weights
        .importance
        .set(Tensor::from_data([0.5, 2.0], &device));
    trained
        .weights
        .anchor
        .set(Tensor::from_data([1.0, 1.0], &device));
    let batch = batch(&[1.5], &[0], at(1, 0), &device);
    let trained = step(trained, &batch);

    let fresh = elastic(network(), ElasticWeights::new(&network(), [""; 0]), 3.0);
    let restored = fresh.load_record(trained.clone().into_record());

    assert_eq!(tensors(&restored), tensors(&trained));
    let anchor = restored.weights.anchor.get().into_data();
    anchor.assert_eq(&[1.0_f32, 1.0].into(), false);
    let next = [step(restored, &batch), step(trained, &batch)];
    let [a, b] = next.map(|model| model.student.weights());
    assert_eq!(a, b);
}

#[test]
fn the_penalty_is_zero_before_the_first_task_and_at_the_anchor() {
    let device = Device::flex().autodiff();
    let network = Net::new(&device);
    let weights = ElasticWeights::new(&network, [""; 0]);
    let moved = network.clone().map(&mut Shift);
    assert_eq!(weights.penalty(&moved).into_scalar::<f64>(), 0.0);

    weights.consolidate(&network, wave([31], [0.0, 1.0, 1.0], &device), 0.5);

    let penalty = weights.penalty(&network);
    assert_eq!(penalty.clone().into_scalar::<f64>(), 0.0);
    let gradient = gradient_vector(&network, &penalty.backward(), |_| false);
    assert_eq!(gradient.abs().sum().into_scalar::<f64>(), 0.0);
    assert!(weights.penalty(&moved).into_scalar::<f64>() > 0.0);
}

struct Shift;

impl burn::module::ModuleMapper for Shift {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<Tensor<D>>,
    ) -> burn::module::Param<Tensor<D>> {
        burn::module::Param::from_tensor(param.val().without_autodiff().add_scalar(1.0).autodiff())
    }
}

#[test]
#[should_panic(expected = "skip the parts of the network that grow, such as `heads`")]
fn the_importance_of_another_network_is_refused() {
    let device = Device::flex().autodiff();
    let weights = ElasticWeights::new(&Net::new(&device), ["output"]);
    elastic(TwoLogits::new([0.0; 2], &device), weights, 1.0);
}
