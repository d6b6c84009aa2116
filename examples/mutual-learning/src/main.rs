//! Deep mutual learning: two networks of different architectures learn from each other.

#![recursion_limit = "256"]

use burn::prelude::*;
use burn_distill::architecture::{ConvNetConfig, MlpConfig};
use burn_distill::core::{Ensemble, PerTeacher, initialize};
use burn_distill::data::{BatchLoader, ImageDataset, digits};
use burn_distill::prelude::*;
use burn_distill::strategy::{MutualDistiller, PeerOrder};
use std::error::Error;

const NAMES: [&str; 2] = ["convolutional", "fully connected"];
const EPOCHS: usize = 200;

/// Creates the networks, with the same initial weights in every call.
///
/// `DynNetwork` gives networks of different architectures one type.
fn networks(device: &Device) -> Vec<DynNetwork<Tensor<4>>> {
    device.seed(0);
    let convolutional = ConvNetConfig::new(vec![16, 32], [1, 8, 8], 10).init(device);
    let fully_connected = MlpConfig::new(vec![64, 64], [1, 8, 8], 10).init(device);
    vec![
        DynNetwork::new(initialize(convolutional)),
        DynNetwork::new(initialize(fully_connected)),
    ]
}

/// Creates the objective of a network: the labels, and the predictions of the other network.
fn objective() -> impl Objective<Knowledge, Vec<Knowledge>> {
    let soft_targets = SoftTargetLossConfig::new().with_temperature(1.0).init();
    let soft_targets = ResponseObjective::new(soft_targets, 1.0);
    PerTeacher::new([(CrossEntropyObjective::new(1.0), soft_targets)]) // One for each other network.
}

fn main() -> Result<(), Box<dyn Error>> {
    let order = match std::env::args().nth(1).as_deref() {
        None => PeerOrder::Simultaneous,
        Some("sequential") => PeerOrder::Sequential,
        Some(other) => {
            return Err(format!("expected no order or `sequential`, got `{other}`").into());
        }
    };
    let device = Device::default();
    let (train, test) = digits().split(0.3, 0)?;
    let few = train.sample_per_class(10, 0)?; // Ten labeled digits of each class.

    let mut baselines = Vec::new();
    for (name, network) in NAMES.iter().zip(networks(&device)) {
        let network = OfflineDistiller::without_teacher(network, CrossEntropyObjective::new(1.0));
        baselines.push(fit(&format!("{name} baseline"), network, &few, &test)?.student);
    }

    let peers =
        MutualDistiller::new(networks(&device), vec![objective(), objective()]).with_order(order);
    let distilled = fit("mutual learning", peers, &few, &test)?.peers;

    let test = BatchLoader::new(test, 256).device(&device);
    let accuracy = |network: &_| Predictions::of(network, &test).map(|p| 100.0 * p.accuracy());
    println!("{:<18} {:>9} {:>10}", "", "baseline", "distilled");
    for (name, (baseline, distilled)) in NAMES.iter().zip(baselines.iter().zip(&distilled)) {
        let (baseline, distilled) = (accuracy(baseline)?, accuracy(distilled)?);
        println!("{name:<18} {baseline:>7.1} % {distilled:>8.1} %");
    }
    // An ensemble of networks is a network too.
    let ensemble = |members| accuracy(&DynNetwork::new(Ensemble::new(members)));
    let (baseline, distilled) = (ensemble(baselines)?, ensemble(distilled)?);
    println!("{:<18} {baseline:>7.1} % {distilled:>8.1} %", "ensemble");
    Ok(())
}

/// Trains one network, or several.
fn fit<M: Distiller<Tensor<4>>>(
    name: &str,
    model: M,
    train: &ImageDataset,
    test: &ImageDataset,
) -> Result<M, Box<dyn Error>> {
    let train = BatchLoader::new(train.clone(), 20).shuffle(0);
    let valid = BatchLoader::new(test.clone(), 256);
    let optimizer = OptimizerConfig::AdamW {
        weight_decay: 0.01,
        decay_vectors: true,
        clip_norm: None,
    };
    let rate = LearningRateConfig {
        base_lr: 0.003,
        shape: LrSchedule::Cosine {},
        ..Default::default()
    };
    let folder = format!("runs/mutual-learning/{name}");
    let training = Training::new(folder, &Device::default(), EPOCHS).with_label(name);
    Ok(training
        .launch(model, &optimizer, &rate, (train, valid))?
        .model)
}
