//! Self-distillation: a network without a teacher learns from its deepest exit, or from its own
//! past predictions.

#![recursion_limit = "256"]

use burn::prelude::*;
use burn_distill::architecture::{
    ChosenExits, ConvNet, ConvNetConfig, ExitChoice, MultiExitConfig, MultiExitNetwork,
};
use burn_distill::core::{ChangingWeight, initialize};
use burn_distill::data::{Augmentation, BatchLoader, ImageDataset, digits};
use burn_distill::prelude::*;
use burn_distill::strategy::{MultiExitDistiller, PastPredictions, SelfDistiller};
use burn_distill::{ByotConfig, ByotObjective};
use std::error::Error;

const EPOCHS: usize = 100;

/// Creates the network, with the same initial weights in every call.
fn network(device: &Device) -> ConvNet {
    device.seed(0);
    initialize(ConvNetConfig::new(vec![8, 16, 32], [1, 8, 8], 10).init(device))
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::default();
    let (train, test) = digits().split(0.3, 0)?;
    let few = train.sample_per_class(20, 0)?; // Twenty labeled digits of each class.

    let baseline =
        OfflineDistiller::without_teacher(network(&device), CrossEntropyObjective::new(1.0));
    let baseline = fit("baseline", baseline, &few, &test)?.student;
    let past = from_past_predictions(network(&device), few.published_len());
    let past = fit("past", past, &few, &test)?.student;

    // For comparison, exits that learn only from the labels.
    let labeled = MultiExitConfig::new().init(network(&device));
    let labeled = MultiExitDistiller::new(
        labeled,
        [
            CrossEntropyObjective::new(1.0),
            CrossEntropyObjective::new(1.0),
        ],
    );
    let labeled = fit("exits baseline", labeled, &few, &test)?.network;
    let distilled = from_deepest_exit(network(&device));
    let distilled = fit("exits", distilled, &few, &test)?.network;

    let test = BatchLoader::new(test, 256).device(&device);
    println!("{:<17} {:.1} %", "baseline", accuracy(&baseline, &test)?);
    println!(
        "{:<17} {:.1} %",
        "past predictions",
        accuracy(&past, &test)?
    );

    println!("\n{:<17} {:>9} {:>10}", "", "baseline", "distilled");
    let numbered = |number| (format!("exit {number}"), ExitChoice::One(number));
    let exits = (1..=distilled.exit_count()).map(numbered);
    for (name, choice) in exits.chain([("mean of all".into(), ExitChoice::Mean)]) {
        let baseline = accuracy(&labeled.clone().deploy(choice), &test)?;
        let distilled = accuracy(&distilled.clone().deploy(choice), &test)?;
        println!("{name:<17} {baseline:>7.1} % {distilled:>8.1} %");
    }

    println!("\nfirst exit with a probability above a threshold");
    for threshold in [0.5, 0.7, 0.9, 0.99] {
        let exit = mean_exit(&distilled, threshold, &test)?;
        let sure = distilled
            .clone()
            .deploy(ExitChoice::FirstConfident(threshold));
        let accuracy = accuracy(&sure, &test)?;
        println!(
            "{:<17} {accuracy:.1} %  exit {exit:.2}",
            format!("above {threshold}")
        );
    }
    Ok(())
}

/// Creates a distiller for be your own teacher (BYOT): the network has an exit after each stage,
/// and the deepest exit is the teacher of the others.
fn from_deepest_exit(
    network: ConvNet,
) -> MultiExitDistiller<MultiExitNetwork<ConvNet>, ByotObjective> {
    let config = ByotConfig {
        feature: 1e-4, // Larger than in the paper, whose sum is over more samples and features.
        ..ByotConfig::paper()
    };
    config.init(MultiExitConfig::new().init(network))
}

/// Creates a distiller for progressive self-distillation (PS-KD): the target moves from the label
/// to the prediction for the same sample in the previous epoch.
fn from_past_predictions(
    network: ConvNet,
    samples: usize,
) -> SelfDistiller<ConvNet, PastPredictions, impl Objective> {
    let ramp = |from, to| ChangingWeight::Linear {
        from,
        to,
        epochs: EPOCHS,
    };
    let past = SoftCrossEntropyLossConfig::new()
        .with_temperature(1.0)
        .init();
    let past = ResponseObjective::new(past, ramp(0.0, 0.8));
    let memory = PastPredictions::new(samples, 10, &Device::default());
    SelfDistiller::new(
        network,
        memory,
        (CrossEntropyObjective::new(ramp(1.0, 0.2)), past),
    )
}

/// Computes the accuracy of a network in percent.
fn accuracy(
    network: &impl Network<Input = Tensor<4>>,
    test: &BatchLoader,
) -> Result<f64, Box<dyn Error>> {
    Ok(100.0 * Predictions::of(network, test)?.accuracy())
}

/// Computes the mean depth of the first exit with a probability above a threshold.
fn mean_exit(
    network: &MultiExitNetwork<ConvNet>,
    threshold: f64,
    test: &BatchLoader,
) -> Result<f64, Box<dyn Error>> {
    let mut sum = 0.0;
    for batch in test.epoch(1) {
        let batch = batch?;
        let exits = network.forward_exits(batch.view().clone());
        let exits = ChosenExits::first_confident(&exits, threshold).exits;
        sum += exits.sum().into_scalar::<f64>();
    }
    Ok(sum / test.dataset().len() as f64)
}

/// Trains a distiller.
fn fit<M: Distiller<Tensor<4>>>(
    name: &str,
    model: M,
    train: &ImageDataset,
    test: &ImageDataset,
) -> Result<M, Box<dyn Error>> {
    let shift = Augmentation {
        crop: Some(1),
        flip: false,
        strong: None,
    };
    let train = BatchLoader::new(train.clone(), 20)
        .shuffle(0)
        .augment(shift, 0);
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
    let folder = format!("runs/self-distillation/{name}");
    let training = Training::new(folder, &Device::default(), EPOCHS).with_label(name);
    Ok(training
        .launch(model, &optimizer, &rate, (train, valid))?
        .model)
}
