//! Train a network on handwritten digits, as burn's guide does.
//!
//! Arguments: the folder of the artifacts, and the number of channels of the network.

#![recursion_limit = "256"]

mod data;
mod model;

use crate::data::*;
use crate::model::*;
use burn::data::dataloader::DataLoaderBuilder;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::optim::AdamConfig;
use burn::prelude::*;
use burn::train::metric::{AccuracyMetric, LearningRateMetric, LossMetric};
use burn::train::{Learner, SupervisedTraining};
use std::error::Error;

#[derive(Config, Debug)]
struct TrainingConfig {
    model: ModelConfig,
    optimizer: AdamConfig,
    #[config(default = 20)]
    num_epochs: usize,
    #[config(default = 64)]
    batch_size: usize,
    #[config(default = 2)]
    num_workers: usize,
    #[config(default = 42)]
    seed: u64,
    #[config(default = 3.0e-3)]
    learning_rate: f64,
}

fn train(artifacts: &str, config: TrainingConfig, device: Device) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(artifacts)?;
    config.save(format!("{artifacts}/config.json"))?;
    device.seed(config.seed);

    let train = DataLoaderBuilder::new(DigitBatcher)
        .batch_size(config.batch_size)
        .shuffle(config.seed)
        .num_workers(config.num_workers)
        .build(DigitDataset::train());
    let valid = DataLoaderBuilder::new(DigitBatcher)
        .batch_size(config.batch_size)
        .num_workers(config.num_workers)
        .build(DigitDataset::test());
    let steps = config.num_epochs * train.num_items().div_ceil(config.batch_size);
    let scheduler = CosineAnnealingLrSchedulerConfig::new(config.learning_rate, steps).init()?;

    let model = config.model.init(&device.clone().autodiff());
    let result = SupervisedTraining::new(artifacts, train, valid)
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .metric_train_numeric(LearningRateMetric::new())
        .with_default_checkpointers()
        .num_epochs(config.num_epochs)
        .summary()
        .launch(Learner::new(model, config.optimizer.init(), scheduler));

    let model = result.model;
    model.save_file(format!("{artifacts}/model"))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [artifacts, channels] = arguments.as_slice() else {
        return Err("expected a folder and a number of channels, such as: runs/teacher 32".into());
    };
    let config = TrainingConfig::new(ModelConfig::new(channels.parse()?), AdamConfig::new());
    train(artifacts, config, Device::default())
}
