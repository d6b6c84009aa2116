//! Be your own teacher (BYOT) on multi-exit networks, with its configurations.

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill::architecture::{MultiExitConfig, MultiExitNetwork, NetworkConfig};
use burn_distill::core::{
    Batch, Clock, Context, CrossEntropyObjective, DynNetwork, Knowledge, Network, Objective,
    Response, Taps, Targets, tensors,
};
use burn_distill::strategy::{Distillation, MultiExitDistiller, StepMetrics};
use burn_distill::{ByotConfig, ByotObjective};
use std::collections::BTreeMap;

type Distiller = MultiExitDistiller<MultiExitNetwork<DynNetwork<Tensor<4>>>, ByotObjective>;

fn distiller(config: ByotConfig) -> Distiller {
    let device = Device::default().autodiff();
    let network = NetworkConfig::by_name("convnet-4-6-8-8").unwrap();
    let network = network.init([1, 8, 8], 3, &device).unwrap();
    config.init(MultiExitConfig::new().init(network))
}

fn batch(samples: usize, device: &Device) -> Batch<Tensor<4>> {
    let images = Tensor::arange(0..64 * samples as i64, device).float().sin();
    Batch {
        views: vec![images.reshape([samples, 1, 8, 8])],
        targets: Targets::classes(Tensor::arange(0..samples as i64, device).remainder_scalar(3)),
        ids: (0..samples).collect(),
        clock: Clock::start(),
    }
}

fn values(tensor: &Tensor<2>) -> Vec<Vec<f64>> {
    let [_, columns] = tensor.dims();
    let values: Vec<f64> = tensor.to_data().iter().collect();
    values.chunks(columns).map(<[f64]>::to_vec).collect()
}

fn log_softmax(row: &[f64], temperature: f64) -> Vec<f64> {
    let sum: f64 = row.iter().map(|logit| (logit / temperature).exp()).sum();
    row.iter()
        .map(|logit| logit / temperature - sum.ln())
        .collect()
}

/// Computes the mean over samples of −Σ softmax(target / T) log softmax(row / T).
fn soft(rows: &[Vec<f64>], targets: &[Vec<f64>], temperature: f64) -> f64 {
    let of = |(row, target): (&Vec<f64>, &Vec<f64>)| -> f64 {
        let (q, p) = (
            log_softmax(row, temperature),
            log_softmax(target, temperature),
        );
        -p.iter().zip(q).map(|(p, q)| p.exp() * q).sum::<f64>()
    };
    rows.iter().zip(targets).map(of).sum::<f64>() / rows.len() as f64
}

#[test]
fn losses_agree_with_the_formulas() {
    for (config, scale) in [(ByotConfig::paper(), 9.0), (ByotConfig::later(), 1.0)] {
        // In validation mode, so that running statistics do not change.
        let model = distiller(config.clone()).valid();
        let batch = batch(5, &Device::default());
        let exits = model.network.forward_exits(batch.view().clone());
        let logits: Vec<_> = exits.iter().map(values).collect();
        let hard = |rows: &[Vec<f64>]| {
            let of = |(sample, row): (usize, &Vec<f64>)| -log_softmax(row, 1.0)[sample % 3];
            rows.iter().enumerate().map(of).sum::<f64>() / 5.0
        };

        let output = model.forward(&batch);
        let reading = &StepMetrics::read(&[output.metrics]).unwrap()[0];
        let terms: BTreeMap<_, _> = reading.terms.iter().cloned().collect();

        let mut expected = config.deepest * hard(&logits[3]);
        for exit in 0..3 {
            let name = |term: &str| format!("exit {} {term}", exit + 1);
            let soft = scale * soft(&logits[exit], &logits[3], 3.0);
            assert!((terms[&name("cross-entropy")] - hard(&logits[exit])).abs() < 1e-5);
            assert!((terms[&name("soft-cross-entropy")] - soft).abs() < 1e-4);
            expected += config.cross_entropy * hard(&logits[exit]) + config.soft * soft;
            // In the later code, the second deepest exit has no feature term.
            let feature = terms.get(&name("exit-feature"));
            assert_eq!(feature.is_none(), scale == 1.0 && exit == 2);
            expected += config.feature * feature.copied().unwrap_or(0.0);
        }
        let loss = reading.loss;
        assert!((loss - expected).abs() < 1e-4, "{loss} is not {expected}");
    }
}

#[test]
fn defaults_are_those_of_the_authors() {
    let weights = |config: ByotConfig| {
        let ByotConfig {
            deepest,
            cross_entropy: hard,
            soft,
            temperature,
            scale_t2,
            feature,
            ..
        } = config;
        ([deepest, hard, soft, temperature, feature], scale_t2)
    };
    assert_eq!(
        weights(ByotConfig::paper()),
        ([0.9, 0.9, 0.1, 3.0, 1e-6], true)
    );
    assert_eq!(
        weights(ByotConfig::later()),
        ([1.0, 0.7, 0.3, 3.0, 0.03], false)
    );
}

#[test]
fn the_soft_cross_entropy_agrees_with_the_reference_implementation() {
    // `kd_loss_function` of pytorch-be-your-own-teacher times 9, in double precision.
    let device = Device::default().autodiff();
    let student = [
        [2.0, 0.5, -1.0],
        [0.0, 1.0, 0.5],
        [1.0, -1.0, 0.3],
        [0.2, 0.1, 2.0],
    ];
    let teacher = [
        [3.0, 0.0, -1.0],
        [0.5, 2.0, 0.0],
        [2.0, -2.0, 0.0],
        [0.0, 0.0, 3.0],
    ];
    let [student, teacher] = [student, teacher].map(|l| Tensor::<2>::from_data(l, &device));
    let student = student.require_grad();
    let [says, teaches] = [student.clone(), teacher].map(|logits| Knowledge {
        response: Response::Classes(logits),
        taps: Taps::default(),
    });

    let model = distiller(ByotConfig::paper());
    let (_, objective, _) = &model.objectives[0];
    let targets = Targets::Unlabeled;
    let context = Context::new(&says, &teaches, &targets, &[], Clock::start());
    let term = objective.forward(&context).into_iter().next().unwrap();
    let grads = term.value.clone().backward();

    let value = term.value.into_scalar::<f64>();
    assert!((value - 9.059861592).abs() < 1e-5, "{value}");
    let gradient = student.grad(&grads).unwrap().square().sum();
    let norm = gradient.into_scalar::<f64>().sqrt();
    assert!((norm - 0.201058011).abs() < 1e-6, "{norm}");
}

fn step(model: Distiller, batch: &Batch<Tensor<4>>) -> Distiller {
    let output = TrainStep::step(&model, batch.clone());
    model.optimize(&mut SgdConfig::new().init(), 0.1_f64.into(), output.grads)
}

#[test]
fn all_parameters_train_and_are_in_the_record() {
    let device = Device::default().autodiff();
    for config in [ByotConfig::paper(), ByotConfig::later()] {
        let start = distiller(config.clone());
        let before = tensors(&start.valid());

        // In validation mode, since running statistics lag behind in training mode.
        let model = step(start, &batch(6, &device)).valid().train();
        for ((name, after), (_, before)) in tensors(&model.valid()).iter().zip(&before) {
            assert_ne!(after, before, "{name}");
        }

        let restored = distiller(config).load_record(model.clone().into_record());
        let [a, b] = [model, restored].map(|model| step(model, &batch(1, &device)));
        let (a, b) = (tensors(&a.valid()), tensors(&b.valid()));
        assert_eq!(a, b);
        let mut finite = a.iter().flat_map(|(_, data)| data.iter::<f64>());
        assert!(finite.all(f64::is_finite));
    }
}

#[test]
fn the_deepest_exit_learns_only_from_the_targets() {
    let device = Device::default().autodiff();
    for config in [ByotConfig::paper(), ByotConfig::later()] {
        let mut start = distiller(config);
        start.cross_entropy = CrossEntropyObjective::new(0.0);
        for objective in &mut start.objectives {
            objective.0 = CrossEntropyObjective::new(0.0);
        }
        let before = tensors(&start.valid());

        let after = tensors(&step(start, &batch(6, &device)).valid());

        let is_deepest = |name: &str| name.contains("layer.3.") || name.starts_with("network.fc");
        let changed = before.iter().zip(&after).filter(|((name, _), _)| {
            // Running statistics are updated with every batch.
            !name.contains("running")
        });
        for ((name, before), (_, after)) in changed {
            assert_eq!(before == after, is_deepest(name), "{name}");
        }
    }
}

#[test]
fn exits_compute_in_validation() {
    let model = distiller(ByotConfig::paper()).valid();
    let batch = batch(1, &Device::default());
    let exits = model.network.forward_exits(batch.view().clone());

    assert!(exits.iter().all(|logits| logits.dims() == [1, 3]));
    let response = model.network.forward(batch.view().clone());
    let deepest = exits[3].to_data();
    assert_eq!(response.rows().logits.into_data(), deepest);
}
