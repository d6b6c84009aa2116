//! On-the-fly native ensemble: branches that learn from their gated mean.

use crate::common::{RATE, at, batch, cross_entropy, labeled, slope, softmax, step, terms, values};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{CrossEntropyObjective, Network, Response, Tap, TapRecorder, tensors};
use burn_distill_strategy::{Distillation, EnsembleKl, NativeEnsembleDistiller, StepMetrics};

/// A network with a trunk of two features, and branches of two logits each.
#[derive(Module, Debug)]
struct Branched {
    trunk: Param<Tensor<2>>,
    branches: Vec<Param<Tensor<2>>>,
}

const TRUNK: [f64; 2] = [0.7, -0.4];
const BRANCHES: [[f64; 4]; 3] = [
    [0.3, -0.2, 0.5, 0.1],
    [-1.0, 0.5, 0.2, 0.9],
    [0.1, 0.8, -0.6, 0.4],
];

impl Branched {
    fn new(branches: usize, device: &Device) -> Self {
        let weight = |values: [f64; 4]| {
            let weight = Tensor::<1>::from_data(values, device).reshape([2, 2]);
            Param::from_tensor(weight)
        };
        Self {
            trunk: Param::from_tensor(Tensor::from_data([TRUNK], device)),
            branches: BRANCHES[..branches].iter().map(|&b| weight(b)).collect(),
        }
    }
}

impl Network for Branched {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let trunk = input.matmul(self.trunk.val());
        taps.offer("trunk", || Tap::Vector(trunk.clone()));
        let logits = |branch: &Param<Tensor<2>>| trunk.clone().matmul(branch.val());
        for (number, branch) in (1..).zip(&self.branches) {
            taps.offer(format!("branch{number}"), || Tap::Vector(logits(branch)));
        }
        Response::Classes(logits(&self.branches[0]))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 1], device)
    }
}

type Native = NativeEnsembleDistiller<Branched, (CrossEntropyObjective, EnsembleKl)>;

const TEMPERATURE: f64 = 3.0;
const TOWARDS: f64 = 0.6;

fn native(device: &Device) -> Native {
    let objective = || {
        (
            CrossEntropyObjective::new(1.0),
            EnsembleKl::new(TEMPERATURE, TOWARDS),
        )
    };
    let mut model =
        NativeEnsembleDistiller::new(Branched::new(3, device), (0..3).map(|_| objective()));
    let weight = Tensor::<1>::from_data([0.5, -0.8, 0.3, 0.9, 0.2, -0.6], device);
    model.gate.fc.weight = Param::from_tensor(weight.reshape([2, 3]));
    let bias = model.gate.fc.bias.as_mut().unwrap();
    *bias = Param::from_tensor(Tensor::from_data([0.1, 0.0, -0.1], device));
    model
}

const GATE: [f64; 15] = [
    0.5, -0.8, 0.3, 0.9, 0.2, -0.6, // weights
    0.1, 0.0, -0.1, // offsets
    1.0, 1.0, 1.0, 0.0, 0.0, 0.0, // scales and offsets of the norm
];
const INPUTS: [f64; 3] = [1.0, -0.5, 0.3];
const COUNT: usize = 2 + 12 + 15;

/// Returns the parameters of trunk, branches and gate in one array, in the order of the module
/// tree.
fn parameters(model: &Native) -> [f64; COUNT] {
    let mut all = values(model.network.trunk.val());
    for branch in &model.network.branches {
        all.extend(values(branch.val()));
    }
    all.extend(values(model.gate.fc.weight.val()));
    all.extend(values(model.gate.fc.bias.as_ref().unwrap().val()));
    all.extend(values(model.gate.bn.gamma.val()));
    all.extend(values(model.gate.bn.beta.val()));
    all.try_into().unwrap()
}

/// Computes the logits of the branches for a sample.
fn branches(p: &[f64; COUNT], input: f64) -> [[f64; 2]; 3] {
    let trunk = [p[0] * input, p[1] * input];
    std::array::from_fn(|branch| {
        let w = &p[2 + 4 * branch..];
        [0, 1].map(|class| trunk[0] * w[class] + trunk[1] * w[2 + class])
    })
}

/// Computes the weights of the branches for each sample of a batch.
fn gate(p: &[f64; COUNT], inputs: &[f64]) -> Vec<[f64; 3]> {
    let (weight, bias) = (&p[14..20], &p[20..23]);
    let (gamma, beta) = (&p[23..26], &p[26..29]);
    let out: Vec<[f64; 3]> = inputs
        .iter()
        .map(|x| std::array::from_fn(|b| p[0] * x * weight[b] + p[1] * x * weight[3 + b] + bias[b]))
        .collect();
    let count = inputs.len() as f64;
    let statistic = |of: &dyn Fn(&[f64; 3]) -> f64| out.iter().map(of).sum::<f64>() / count;
    let mean: [f64; 3] = std::array::from_fn(|b| statistic(&|row| row[b]));
    let variance: [f64; 3] = std::array::from_fn(|b| statistic(&|row| (row[b] - mean[b]).powi(2)));
    out.iter()
        .map(|row| {
            let raised: [f64; 3] = std::array::from_fn(|b| {
                let normal = (row[b] - mean[b]) / (variance[b] + 1e-5).sqrt();
                (gamma[b] * normal + beta[b]).max(0.0).exp()
            });
            raised.map(|e| e / raised.iter().sum::<f64>())
        })
        .collect()
}

fn ensemble(p: &[f64; COUNT], inputs: &[f64]) -> Vec<[f64; 2]> {
    let gates = gate(p, inputs);
    let mix = |(weights, &input): (&[f64; 3], &f64)| {
        let branches = branches(p, input);
        [0, 1].map(|class| (0..3).map(|b| weights[b] * branches[b][class]).sum())
    };
    gates.iter().zip(inputs).map(mix).collect()
}

/// Computes the loss of samples of class 0, with constant logits of the ensemble as targets.
fn loss(p: [f64; COUNT], inputs: &[f64], constants: &[[f64; 2]]) -> f64 {
    let target = [1.0, 0.0];
    let ensembles = ensemble(&p, inputs);
    let mut sum = 0.0;
    for ((&input, ensemble), constants) in inputs.iter().zip(ensembles).zip(constants) {
        sum += cross_entropy(ensemble, target);
        for branch in branches(&p, input) {
            let [q, p] = [*constants, branch].map(|z| softmax(z.map(|z| z / TEMPERATURE)));
            let q = q.map(|q| q + 1e-7);
            let row: f64 = q.iter().zip(p).map(|(q, p)| q * (q.ln() - p.ln())).sum();
            sum += cross_entropy(branch, target) + TOWARDS * TEMPERATURE.powi(2) * row;
        }
    }
    sum / inputs.len() as f64
}

#[test]
fn a_step_agrees_with_one_computed_by_hand() {
    let device = Device::default().autodiff();
    for count in [1, 3] {
        let model = native(&device);
        let before = parameters(&model);
        assert!(
            before[14..]
                .iter()
                .zip(GATE)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        let inputs = &INPUTS[..count];
        let constants = ensemble(&before, inputs);
        let gradient = slope(|p| loss(p, inputs, &constants), before);

        let rows: Vec<f32> = inputs.iter().map(|&input| input as f32).collect();
        let ids: Vec<usize> = (0..count).collect();
        let batch = batch(&rows, &ids, at(1, 0), &device);
        let value = model.forward(&batch).loss.into_scalar::<f64>();
        assert!(
            (value - loss(before, inputs, &constants)).abs() < 1e-4,
            "{value}"
        );
        let after = parameters(&step(native(&device), &batch));

        for i in 0..COUNT {
            // The gate has no gradient for a batch of one: the output of its normalization is the
            // bias, which is zero, where the derivative of the ReLU is zero.
            if count == 1 && i >= 14 {
                assert!(after[i].is_finite());
                continue;
            }
            let (actual, expected) = (after[i], before[i] - RATE * gradient[i]);
            assert!((actual - expected).abs() < 1e-4, "{i}: {actual} {expected}");
        }
    }
}

#[test]
fn the_gate_learns_only_from_the_loss_of_the_ensemble() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), &device);
    let learned = |weight: f64| {
        let mut model = native(&device);
        model.cross_entropy = CrossEntropyObjective::new(weight);
        let before = parameters(&model);
        (before, parameters(&step(model, &batch)))
    };

    let (before, without) = learned(0.0);
    assert_eq!(before[14..], without[14..]);
    assert_ne!(before[..14], without[..14]);
    let (before, with) = learned(1.0);
    assert_ne!(before[14..], with[14..]);
}

#[test]
fn the_terms_and_accuracy_of_every_branch_and_the_ensemble_are_shown() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), &device);

    let output = native(&device).forward(&batch);

    let values = &StepMetrics::read(std::slice::from_ref(&output.metrics)).unwrap()[0];
    let terms = terms(&output.metrics);
    let names: Vec<_> = terms.keys().map(String::as_str).collect();
    let mut expected = Vec::new();
    for branch in ["branch 1", "branch 2", "branch 3"] {
        for term in ["accuracy", "cross-entropy", "ensemble"] {
            expected.push(format!("{branch} {term}"));
        }
    }
    expected.extend(["ensemble accuracy", "ensemble cross-entropy"].map(String::from));
    assert_eq!(names, expected);
    let percent = |count: usize| count as f64 / 3.0 * 100.0;
    assert!((percent(values.correct) - terms["branch 1 accuracy"]).abs() < 1e-3);
    assert!((percent(values.teacher_correct) - terms["ensemble accuracy"]).abs() < 1e-3);
}

#[test]
fn the_network_of_all_branches_has_the_metrics_of_the_ensemble() {
    let device = Device::default().autodiff();
    let model = native(&device).valid();
    let device = device.without_autodiff();
    let batch = batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), &device);

    let shown = terms(&model.forward(&batch).metrics);
    let ensemble = model.ensemble();
    let response = ensemble.forward(batch.view().clone());
    let logits = response.classes().unwrap().clone();
    let loss = CrossEntropyObjective::cross_entropy(logits, &batch.targets).into_scalar::<f64>();

    assert!(
        (loss - shown["ensemble cross-entropy"]).abs() < 1e-6,
        "{loss}"
    );
    assert!(
        (loss - shown["branch 1 cross-entropy"]).abs() > 1e-3,
        "{shown:?}"
    );
    let names: Vec<_> = tensors(&ensemble)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(
        names.iter().any(|name| name == "gate.fc.weight"),
        "{names:?}"
    );
}

#[test]
fn a_checkpoint_holds_the_gate_and_its_statistics() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), &device);
    let model = step(native(&device), &batch).valid().train();
    let before = tensors(&native(&device));
    for ((name, after), (_, before)) in tensors(&model.valid()).iter().zip(&before) {
        assert_ne!(after, before, "{name}");
    }

    let restored = native(&device).load_record(model.clone().into_record());
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &batch).valid()));
    assert_eq!(a, b);
}

#[test]
fn unlabeled_samples_train_the_branches_and_not_the_gate() {
    let device = Device::default().autodiff();
    let batch = labeled(batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), &device), 0);
    let before = parameters(&native(&device));

    let after = parameters(&step(native(&device), &batch));

    assert_ne!(before[..14], after[..14]);
    assert_eq!(before[14..], after[14..]);
}

#[test]
#[should_panic(expected = "There should be an objective for each of 2 branches, but there are 3.")]
fn another_number_of_objectives_than_branches_is_refused() {
    let objectives = (0..3).map(|_| CrossEntropyObjective::new(1.0));
    NativeEnsembleDistiller::new(Branched::new(2, &Device::default()), objectives);
}
