//! Distill networks that classify every pixel, on drawn shapes: CWD, SKD and MGD.

mod network;
mod shapes;

use burn::{optim::AdamWConfig, prelude::*};
use burn_distill::core::{DynObjective, TapLoss};
use burn_distill::feature::*;
use burn_distill::prelude::*;
use burn_distill::relation::PairWiseLossConfig;
use burn_distill::response::PixelWiseLossConfig;
use burn_distill::strategy::{ByEpoch, Quiet};
use network::Net;
use shapes::{Shapes, mean_iou};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Channels of the teacher and of the student.
const CHANNELS: [usize; 2] = [24, 16];
/// Numbers of training images of the teacher and of the student.
const IMAGES: [usize; 2] = [400, 10];
/// Number of images per step, if there are as many.
const BATCH: usize = 20;

/// Returns the terms of the loss of a method, with the weights of its authors.
fn objective(method: &str, device: &Device) -> Vec<DynObjective> {
    let labels = DynObjective::new(CrossEntropyObjective::new(1.0));
    match method {
        "CWD" => vec![
            labels,
            pair("logits", ChannelWiseLossConfig::new().init(), 3.0),
        ],
        "SKD" => {
            let pixel_wise = pair("logits", PixelWiseLossConfig::new().init(), 10.0);
            let pair_wise = pair("features", PairWiseLossConfig::new().init(), 1.0);
            vec![labels, pixel_wise, pair_wise]
        }
        "MGD" => {
            let [teacher, student] = CHANNELS;
            let mgd = MaskedGenerationLossConfig::new().init(student, teacher, device);
            let mgd = [TapPair::new("features", "features", mgd)];
            vec![
                labels,
                DynObjective::new(MaskedGenerationObjective::new(mgd, 2e-5)),
            ]
        }
        _ => vec![labels],
    }
}

/// Returns the weighted loss between a tap of the student and the same tap of the teacher.
fn pair<L: TapLoss>(tap: &str, loss: L, weight: f64) -> DynObjective {
    DynObjective::new(TapObjective::new([TapPair::new(tap, tap, loss)], weight))
}

/// Trains a network on drawn images.
fn fit<M: Distiller<Tensor<4>>>(
    name: &str,
    model: M,
    (images, seed): (usize, u64),
    steps: usize,
) -> Result<M> {
    // The teacher and the students see the same number of images.
    let epochs = (steps * BATCH / images).max(1);
    let device = Device::default();
    let training = Training::new(format!("runs/segmentation/{name}"), &device, epochs);
    let training = training.with_renderer(Some(ByEpoch::renderer(Quiet)));
    let train = Shapes::load(images, 100 + seed).shuffle(seed);
    let adam = AdamWConfig::new().init();
    Ok(training
        .launch(model, adam, 3e-3, (train, Shapes::load(BATCH, 1)))?
        .model)
}

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u64>());
    let steps = numbers.next().unwrap_or(Ok(200))? as usize;
    let seeds = numbers.next().unwrap_or(Ok(3))?;
    let device = Device::default().autodiff(); // Or the adapters would not train.

    device.seed(0);
    let teacher = Net::new(CHANNELS[0], &device);
    let teacher = OfflineDistiller::without_teacher(teacher, CrossEntropyObjective::new(1.0));
    let teacher = fit("teacher", teacher, (IMAGES[0], 999), steps)?.student;
    println!("teacher            {:.1}", mean_iou(&teacher)?);

    let teacher = Frozen::new(teacher);
    for method in ["baseline", "CWD", "SKD", "MGD"] {
        let ious = (0..seeds).map(|seed| {
            device.seed(seed); // Every student of a seed begins with the same weights.
            let student = Net::new(CHANNELS[1], &device);
            let terms = objective(method, &device);
            let student = OfflineDistiller::new(student, teacher.clone(), terms);
            let name = format!("{method}-{seed}");
            mean_iou(&fit(&name, student, (IMAGES[1], seed), steps)?.student)
        });
        let ious = ious.collect::<Result<Vec<_>>>()?;
        let mean = ious.iter().sum::<f64>() / seeds as f64;
        let squares: f64 = ious.iter().map(|iou| (iou - mean).powi(2)).sum();
        let deviation = (squares / (seeds as f64 - 1.0).max(1.0)).sqrt();
        println!("student, {method:9} {mean:.1} ± {deviation:.1}");
    }
    println!("mean IoU in %, {seeds} seeds, {steps} steps");
    Ok(())
}
