//! Distillation without data: a student that never sees an image of MNIST learns from a teacher, on
//! images of a generator.

#![recursion_limit = "256"]

mod grid;

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::DType;
use burn_distill::architecture::{
    ConvNet, ConvNetConfig, Generator, ImageGenerator, ImageGeneratorConfig,
};
use burn_distill::core::{ChangingWeight, Clock, WeightSchedule, initialize};
use burn_distill::data::{DataSource, DatasetName, ImageDataset, TrainTestData};
use burn_distill::feature::AttentionTransferLossConfig;
use burn_distill::prelude::*;
use burn_distill::strategy::{
    DataFreeDistiller, DataFreeDistillerConfig, DisagreementObjectiveConfig, GeneratorObjective,
    GeneratorOrder, Latents, PseudoBatches, TeacherLikeObjectiveConfig,
};
use grid::write_grid;
use std::error::Error;

const FOLDER: &str = "runs/data-free";
const SEED: u64 = 0;
const SHAPE: [usize; 3] = [1, 28, 28];
const TEACHER_EPOCHS: usize = 3;
const EPOCHS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let source = match arguments.next() {
        Some(folder) => DataSource::default().data_dir(folder),
        None => return Err("expected the folder of MNIST, then `data-free` or nothing".into()),
    };
    let method = arguments.next();
    let device = Device::default();
    let TrainTestData { train, test, .. } = DatasetName::Mnist.load(&source)?;
    let test = test.ok_or("MNIST has a test set")?;

    let teacher = teacher(&train, &test, &device)?;
    device.seed(SEED);
    let student = initialize(ConvNetConfig::new(vec![8, 16, 32], SHAPE, 10).init(&device));
    // From here on, images of MNIST only measure the accuracy.
    drop(train);
    let (student, images) = match method.as_deref() {
        None => zero_shot(student, &teacher, &test, &device)?,
        Some("data-free") => data_free(student, &teacher, &test, &device)?,
        Some(other) => return Err(format!("expected `data-free` or nothing, got `{other}`").into()),
    };

    let loader = BatchLoader::new(test, 256).device(&device);
    for (name, network) in [("teacher", &teacher), ("student", &student)] {
        let accuracy = 100.0 * Predictions::of(network, &loader)?.accuracy();
        println!("{name:<8} {accuracy:>6.2} % of the test set of MNIST");
    }
    let file = format!("{FOLDER}/{}.png", method.as_deref().unwrap_or("zero-shot"));
    write_grid(images, &file)?;
    println!("images of the generator: {file}");
    Ok(())
}

/// Trains the teacher with data, or loads it if that is done.
fn teacher(
    train: &ImageDataset,
    test: &ImageDataset,
    device: &Device,
) -> Result<ConvNet, Box<dyn Error>> {
    device.seed(SEED + 1);
    let network = initialize(ConvNetConfig::new(vec![16, 32, 64], SHAPE, 10).init(device));
    let distiller = OfflineDistiller::without_teacher(network, CrossEntropyObjective::new(1.0));
    let loaders = (
        BatchLoader::new(train.clone(), 128).shuffle(SEED),
        BatchLoader::new(test.clone(), 256),
    );
    let training = Training::new(format!("{FOLDER}/teacher"), device, TEACHER_EPOCHS)
        .with_label("teacher")
        .with_resume(true);
    let trained = training.launch(distiller, &adam(), &falling(0.003), loaders)?;
    Ok(trained.model.student)
}

/// ZSKT: images on which student and teacher disagree, for soft targets and attention maps.
fn zero_shot(
    student: ConvNet,
    teacher: &ConvNet,
    test: &ImageDataset,
    device: &Device,
) -> Result<(ConvNet, Tensor<4>), Box<dyn Error>> {
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    let pair = |tap| TapPair::new(tap, tap, AttentionTransferLossConfig::new().init());
    let maps = ["layer1", "layer2", "layer3"].map(pair);
    let falling = ChangingWeight::Cosine {
        from: 1e-3,
        to: 0.0,
        epochs: EPOCHS,
    };
    let distiller = DataFreeDistillerConfig::new()
        .with_batch_size(64)
        .with_learning_rate(WeightSchedule::Changing(falling))
        .with_seed(SEED)
        .init(
            (student, teacher.clone()),
            (
                generator().init(device),
                DisagreementObjectiveConfig::new().init(),
            ),
            (
                // The authors divide by the number of classes, too.
                ResponseObjective::new(soft, 0.1),
                TapObjective::new(maps, 250.0),
            ),
        );
    distill("zero-shot", distiller, 20, test, device)
}

/// DAFL: images that the teacher treats as its training data, for soft targets.
fn data_free(
    student: ConvNet,
    teacher: &ConvNet,
    test: &ImageDataset,
    device: &Device,
) -> Result<(ConvNet, Tensor<4>), Box<dyn Error>> {
    let objective = TeacherLikeObjectiveConfig::new().with_one_hot(1.0);
    let generator = generator().with_tanh(true).with_epsilon(0.8).init(device);
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    let distiller = DataFreeDistillerConfig::new()
        .with_batch_size(64)
        .with_order(GeneratorOrder::Together {})
        .with_learning_rate(WeightSchedule::Constant(0.002))
        .with_clip_norm(None)
        .with_seed(SEED)
        .init(
            (student, teacher.clone()),
            (generator, objective.init()),
            ResponseObjective::new(soft, 1.0),
        );
    distill("data-free", distiller, 120, test, device)
}

fn generator() -> ImageGeneratorConfig {
    // Small, for a CPU; the authors have a width of 128.
    ImageGeneratorConfig::new(SHAPE).with_width(16)
}

/// Trains the student, and returns it with 64 images of the trained generator.
fn distill<C: GeneratorObjective, O: Objective>(
    name: &str,
    distiller: DataFreeDistiller<ConvNet, ConvNet, ImageGenerator, C, O>,
    pseudo_batches: usize,
    test: &ImageDataset,
    device: &Device,
) -> Result<(ConvNet, Tensor<4>), Box<dyn Error>> {
    let loaders = (
        PseudoBatches::new(pseudo_batches),
        BatchLoader::new(test.clone(), 256),
    );
    let training = Training::new(format!("{FOLDER}/{name}"), device, EPOCHS)
        .with_metrics([
            MetricKind::Loss,
            MetricKind::Accuracy,
            MetricKind::Agreement,
        ])
        .with_label(name)
        .with_resume(true);
    let trained = training.launch(distiller, &adam(), &falling(0.01), loaders)?;

    let DataFreeDistiller {
        student, generator, ..
    } = trained.model;
    // In training mode, as the student has seen them.
    let generator = generator.train();
    let place = (&device.clone().autodiff(), DType::F32);
    let latents = Latents::Drawn { seed: SEED };
    let latents = latents.at(&Clock::start(), [64, generator.latents()], place);
    let images = generator.generate(latents).without_autodiff();
    Ok((student, images))
}

fn adam() -> OptimizerConfig {
    OptimizerConfig::Adam {
        weight_decay: 0.0,
        clip_norm: None,
    }
}

fn falling(base_lr: f64) -> LearningRateConfig {
    LearningRateConfig {
        base_lr,
        shape: LrSchedule::Cosine {},
        ..Default::default()
    }
}
